import { hash, type KeyObject, verify } from 'node:crypto';
import { lengthPrefixed } from '../crypto/length-prefixed.ts';
import type { Order } from './order.ts';
import { orderBytes } from './order-bytes.ts';

/**
 * The key store’s own word that an order was obeyed in its time: a signature by the attestation key, made in an HSM for
 * a worker that verified the order while it was good. An order is read again for as long as what it ordered lasts, long
 * after it expired; without this word a writer in the database could carry one out late that nobody carried out in time.
 * The first field keeps it apart from all else that this key signs: keys, heads of audit chains.
 */
function inForceMessage(keyStore: string, order: Order): Buffer {
  return lengthPrefixed(['hsm-driver order in force v1', keyStore, orderBytes(order)]);
}

/** What the attestation key signs with CKM_ECDSA. 32 bytes. @param keyStore the one whose attestation key it is. */
export function inForceDigest(keyStore: string, order: Order): Buffer {
  return hash('sha256', inForceMessage(keyStore, order), 'buffer');
}

/**
 * @param pinned the key store’s attestation public key.
 * @param attestation base64url of r‖s, 64 bytes.
 */
export function inForceHolds(pinned: KeyObject, keyStore: string, order: Order, attestation: string): boolean {
  const signature = Buffer.from(attestation, 'base64url');
  if (signature.length !== 64) return false;
  return verify('sha256', inForceMessage(keyStore, order), { key: pinned, dsaEncoding: 'ieee-p1363' }, signature);
}
