import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { libsecp256k1 as secp256k1 } from '../../shared/crypto/libsecp256k1.ts';
import type { Signature } from '../../shared/driver-protocol.ts';
import type { KeyType } from '../../shared/keys.ts';
import { uncompressedPoint } from './encoding.ts';
import { p256DigestSignatureHolds } from './p256-digest.ts';

/**
 * Verification in software, with native code, of what the HSM signed: secp256k1 by libsecp256k1, P-256 and ed25519 by
 * OpenSSL.
 */

/**
 * Whether a signature holds for a public key. For secp256k1 its recid must be right too, and s must be low.
 * @param publicKey hex, as in src/shared/keys.ts; for one that is no key of this type nothing holds: a row may say anything.
 * @param digest what C_Sign was given: 32 bytes for ECDSA, the whole message for EdDSA.
 */
export function signatureHolds(type: KeyType, publicKey: string, digest: Uint8Array, signature: Signature): boolean {
  const rs = Buffer.from(signature.rs, 'hex');
  if (rs.length !== 64) return false;
  if (type.scheme === 'ECDSA' && digest.length !== 32) return false;
  switch (type.curve) {
    case 'secp256k1':
      return secp256k1Holds(Buffer.from(publicKey, 'hex'), digest, rs, signature.recid);
    case 'P-256': {
      const point = orNone(() => uncompressedPoint('P-256', publicKey));
      return point !== undefined && p256DigestSignatureHolds(point, asBuffer(digest), rs);
    }
    case 'ed25519': {
      const key = orNone(() => ed25519Key(publicKey));
      return key !== undefined && verify(null, digest, key, rs);
    }
    default:
      return unknownCurve(type);
  }
}

/**
 * The y parity of R for which a secp256k1 signature recovers to its public key (SEC 1 section 4.1.6): finding it is the
 * verification. R.x above the order (recid 2 and 3) happens once in 2¹²⁷ signatures and is refused.
 * @returns undefined when the signature does not belong to the key.
 */
export function secp256k1RecoveryId(publicKey: string, digest: Uint8Array, rs: Uint8Array): 0 | 1 | undefined {
  const expected = Buffer.from(publicKey, 'hex');
  if (recoversTo(expected, digest, rs, 0)) return 0;
  if (recoversTo(expected, digest, rs, 1)) return 1;
  return undefined;
}

function recoversTo(expected: Buffer, digest: Uint8Array, rs: Uint8Array, recid: 0 | 1): boolean {
  try {
    return expected.equals(secp256k1.ecdsaRecover(rs, recid, digest, true));
  } catch {
    return false; // r or s out of range, or no point has this x
  }
}

function secp256k1Holds(publicKey: Buffer, digest: Uint8Array, rs: Buffer, recid: 0 | 1 | undefined): boolean {
  if (recid !== undefined) return recoversTo(publicKey, digest, rs, recid);
  return orNone(() => secp256k1.ecdsaVerify(rs, digest, publicKey)) ?? false;
}

/** Libraries throw for what is no public key of the curve. */
function orNone<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** SubjectPublicKeyInfo (RFC 8410) up to the 32 bytes of the key. */
const ed25519Prefix = Buffer.from('302a300506032b6570032100', 'hex');

/** The one key used last: the requests of a batch come ordered by key. */
let lastKey: { readonly publicKey: string; readonly object: KeyObject } | undefined;

function ed25519Key(publicKey: string): KeyObject {
  if (lastKey?.publicKey !== publicKey) {
    const der = Buffer.concat([ed25519Prefix, Buffer.from(publicKey, 'hex')]);
    lastKey = { publicKey, object: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
  }
  return lastKey.object;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function unknownCurve(type: never): never {
  throw new TypeError(`no such key type: ${JSON.stringify(type)}`);
}
