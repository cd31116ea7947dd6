import { ECDH } from 'node:crypto';
import type { Curve } from '../../shared/keys.ts';

/**
 * Between the encodings that tokens use and those of src/shared/keys.ts.
 */

/** OpenSSL's names, for ECDH.convertKey: it checks that the point is on the curve. */
const opensslCurves = { secp256k1: 'secp256k1', 'P-256': 'prime256v1' } as const;

/**
 * A public key from CKA_EC_POINT. The standard says DER OCTET STRING around the point (PKCS#11 3.1 section 6.3.3), tokens
 * also give the bare point or a BIT STRING, compressed or not, and for ed25519 (RFC 8032) the 32 bytes bare or wrapped.
 * @returns lower-case hex as in src/shared/keys.ts.
 * @throws RangeError when it is none of these, or not a point of the curve.
 */
export function publicKeyHex(curve: Curve, ecPoint: Buffer): string {
  if (curve === 'ed25519') return unwrapped(ecPoint, [32]).toString('hex');
  const point = unwrapped(ecPoint, [65, 33]);
  try {
    return ECDH.convertKey(point, opensslCurves[curve], undefined, 'hex', 'compressed') as string;
  } catch (cause) {
    throw new RangeError(`not a point of ${curve}`, { cause });
  }
}

/** The 65-byte point 04‖x‖y of a compressed one; not for ed25519. */
export function uncompressedPoint(curve: 'secp256k1' | 'P-256', publicKey: string): Buffer {
  // It answers nothing for nothing, and a Buffer otherwise.
  const point = ECDH.convertKey(publicKey, opensslCurves[curve], 'hex', undefined, 'uncompressed');
  if (!Buffer.isBuffer(point)) throw new RangeError('an empty public key');
  return point;
}

/** Bare, in an OCTET STRING (tag 04), or in a BIT STRING (tag 03, no unused bits): told apart by the length alone. */
function unwrapped(value: Buffer, lengths: readonly number[]): Buffer {
  for (const length of lengths) {
    if (value.length === length) return value;
    if (value.length === length + 2 && value[0] === 0x04 && value[1] === length) return value.subarray(2);
    if (value.length === length + 3 && value[0] === 0x03 && value[1] === length + 1 && value[2] === 0)
      return value.subarray(3);
  }
  throw new RangeError(
    `a public key of ${value.length} bytes (${value.subarray(0, 4).toString('hex')}…) in no known encoding`,
  );
}

/** Group orders (SEC 2 sections 2.4.1 and 2.4.2): s and order − s are both valid, the lower one is the canonical. */
const orders = {
  secp256k1: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  'P-256': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
} as const;
const halfOrders = {
  secp256k1: Buffer.from((orders.secp256k1 >> 1n).toString(16).padStart(64, '0'), 'hex'),
  'P-256': Buffer.from((orders['P-256'] >> 1n).toString(16).padStart(64, '0'), 'hex'),
} as const;

/**
 * A token's ECDSA signature (r‖s, 64 bytes, PKCS#11 3.1 section 6.3.12) with the lower of its two s (BIP 62).
 * @throws RangeError for another length.
 */
export function lowS(curve: 'secp256k1' | 'P-256', signature: Buffer): Buffer {
  if (signature.length !== 64) throw new RangeError(`an ECDSA signature of ${signature.length} bytes`);
  const s = signature.subarray(32);
  if (s.compare(halfOrders[curve]) <= 0) return signature;
  const low = orders[curve] - BigInt(`0x${s.toString('hex')}`);
  if (low < 0n) throw new RangeError('an ECDSA signature whose s is not below the order');
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(low.toString(16).padStart(64, '0'), 'hex')]);
}
