import { randomBytes } from 'node:crypto';
import { Pkcs11Fault } from '../fault.ts';
import type { Cryptoki, Handle } from '../module.ts';
import { importTransportKey, oaep, oaepHashes } from './transport.ts';

/**
 * Whether a key can be wrapped for another token: what a backup token is for, and what a signing token must refuse. Tried
 * with a random modulus, for which nobody has a private key; the blob is thrown away.
 * @throws Pkcs11Fault of another kind than a refusal
 */
export function isDeliverable(cryptoki: Cryptoki, session: Handle, key: Handle): boolean {
  const modulus = randomBytes(512);
  modulus[0] = 0xff;
  modulus[511] = 0xff;
  const publicExponent = Buffer.from('010001', 'hex');
  const nobodys = importTransportKey(cryptoki, session, { modulus, publicExponent });
  try {
    return oaepHashes.some((hash) => {
      try {
        cryptoki.wrapKey(session, oaep(hash), nobodys, key).fill(0);
        return true;
      } catch (error) {
        if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return false;
        throw error;
      }
    });
  } finally {
    cryptoki.destroyObject(session, nobodys);
  }
}
