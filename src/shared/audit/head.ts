import { hash, type KeyObject, verify } from 'node:crypto';
import { lengthPrefixed } from '../crypto/length-prefixed.ts';
import type { ChainHead } from './event.ts';
import type { SignedHead } from './signed-head.ts';

/**
 * A chain's head, signed in the HSM by the key store's attestation key. The first word of the message tells it from every
 * other message of that key, so no head can be passed off as a key's attestation, nor the reverse.
 */
export interface NamedHead extends ChainHead {
  readonly keyStore: string;
  /** The instance. */
  readonly chain: string;
}

/** What is signed, as ECDSA with SHA-256 on P-256. */
export function headMessage({ keyStore, chain, sequence, hash }: NamedHead): Buffer {
  return lengthPrefixed(['hsm-driver audit head v1', keyStore, chain, String(sequence), hash]);
}

/** What the attestation key signs with CKM_ECDSA. 32 bytes. */
export function headDigest(head: NamedHead): Buffer {
  return hash('sha256', headMessage(head), 'buffer');
}

/** @param pinned the key store's attestation public key. */
export function headHolds(pinned: KeyObject, keyStore: string, head: SignedHead): boolean {
  const signature = Buffer.from(head.signature, 'base64url');
  if (signature.length !== 64) return false;
  return verify('sha256', headMessage({ keyStore, ...head }), { key: pinned, dsaEncoding: 'ieee-p1363' }, signature);
}
