import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { KeyType } from '../keys.ts';
import { lengthPrefixed } from './length-prefixed.ts';

/**
 * The attestation of a new public key: a P-256 signature, made in the HSM by the key store's attestation key, that
 * binds the public key to its organisation and request. Whoever shows the key checks it against the pinned attestation
 * public key, so neither a stolen driver certificate nor a writer in a database can put another key in its place.
 */
export interface AttestedKey {
  readonly keyStore: string;
  readonly organisation: string;
  readonly keyId: string;
  readonly requestId: string;
  readonly type: KeyType;
  /** Lower-case hex, as in src/shared/keys.ts. */
  readonly publicKey: string;
}

/** SHA-256 of the attested fields: what the attestation key signs with CKM_ECDSA. 32 bytes. */
export function attestationDigest(key: AttestedKey): Buffer {
  return createHash('sha256').update(attestationMessage(key)).digest();
}

function attestationMessage(key: AttestedKey): Buffer {
  return lengthPrefixed([
    'hsm-driver attestation v1',
    key.keyStore,
    key.organisation,
    key.keyId,
    key.requestId,
    key.type.scheme,
    key.type.curve,
    Buffer.from(key.publicKey, 'hex'),
  ]);
}

/** The pinned attestation public key: 65 bytes, uncompressed P-256 point, hex as it stands in configurations. */
export function attestationPublicKey(uncompressedHex: string): KeyObject {
  const point = Buffer.from(uncompressedHex, 'hex');
  if (point.length !== 65 || point[0] !== 4)
    throw new RangeError('an uncompressed P-256 point has 65 bytes and begins with 04');
  return createPublicKey({
    key: { kty: 'EC', crv: 'P-256', x: point.toString('base64url', 1, 33), y: point.toString('base64url', 33) },
    format: 'jwk',
  });
}

/** @param attestation base64url of r‖s, 64 bytes. */
export function attestationHolds(pinned: KeyObject, key: AttestedKey, attestation: string): boolean {
  const signature = Buffer.from(attestation, 'base64url');
  if (signature.length !== 64) return false;
  return verify('sha256', attestationMessage(key), { key: pinned, dsaEncoding: 'ieee-p1363' }, signature);
}
