import { createECDH, createHash, createPublicKey, verify } from 'node:crypto';

/**
 * Verifies a P-256 signature over a digest whose message is not known. node:crypto only verifies messages (it hashes
 * them itself), so the question is moved to a message that is known, exactly and without any secret:
 *
 * ECDSA (FIPS 186-5 section 6.4.2) accepts (r, s) for digest z under public key Q iff s⁻¹·(z·G + r·Q) has x = r. With
 * z′ = SHA-256 of a fixed message, d = (z − z′)/r mod n and Q′ = Q + d·G, z′·G + r·Q′ is the same point. So (r, s) holds
 * for (z, Q) iff it holds for (z′, Q′), and that is asked of OpenSSL. Ten times as fast as an implementation in
 * JavaScript. Everything here is public: nothing need be constant-time.
 */
const p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const knownMessage = Buffer.from('hsm-driver P-256 digest verification v1');
const knownDigest = toBigInt(createHash('sha256').update(knownMessage).digest());

/** SubjectPublicKeyInfo (RFC 5480) of a P-256 key up to its 65-byte point. */
const spkiPrefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');

/**
 * @param point 04‖x‖y, on the curve.
 * @param digest 32 bytes.
 * @param signature r‖s, 64 bytes.
 */
export function p256DigestSignatureHolds(point: Buffer, digest: Buffer, signature: Buffer): boolean {
  const r = toBigInt(signature.subarray(0, 32));
  if (r === 0n || r >= n) return false;
  const shift = mod((toBigInt(digest) - knownDigest) * inverse(r, n), n);
  const shifted = shift === 0n ? point : add(point, timesGenerator(shift));
  // Q = ±d·G happens once in 2²⁵⁵ keys; such a signature is not released, and made again with another r.
  if (shifted === undefined) return false;
  const key = createPublicKey({ key: Buffer.concat([spkiPrefix, shifted]), format: 'der', type: 'spki' });
  return verify('sha256', knownMessage, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

function timesGenerator(scalar: bigint): Buffer {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(toBytes(scalar));
  return ecdh.getPublicKey();
}

/** Affine addition (SEC 1 section 2.2.1); undefined where it needs another formula. */
function add(left: Buffer, right: Buffer): Buffer | undefined {
  const [x1, y1] = [toBigInt(left.subarray(1, 33)), toBigInt(left.subarray(33))];
  const [x2, y2] = [toBigInt(right.subarray(1, 33)), toBigInt(right.subarray(33))];
  if (x1 === x2) return undefined;
  const slope = mod((y2 - y1) * inverse(mod(x2 - x1, p), p), p);
  const x3 = mod(slope * slope - x1 - x2, p);
  const y3 = mod(slope * (x1 - x3) - y1, p);
  return Buffer.concat([Buffer.from([4]), toBytes(x3), toBytes(y3)]);
}

/** Extended Euclid; `value` in [1, modulus). */
function inverse(value: bigint, modulus: bigint): bigint {
  let [low, high] = [value, modulus];
  let [a, b] = [1n, 0n];
  while (low > 1n) {
    const quotient = high / low;
    [low, high] = [high - quotient * low, low];
    [a, b] = [b - quotient * a, a];
  }
  return mod(a, modulus);
}

function mod(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function toBigInt(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

function toBytes(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
}
