import { CKA } from './constants.ts';
import { Pkcs11Fault } from './fault.ts';
import type { Cryptoki, Handle } from './module.ts';

/** Reading back what a token made of a key: it may have ignored what it was told. */

/** A CK_ULONG as the bytes of an attribute’s value: 8, in the order of the machines that this program runs on. */
export function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A CK_BBOOL; undefined where the token does not know the attribute. */
export function flag(cryptoki: Cryptoki, session: Handle, object: Handle, type: number): boolean | undefined {
  try {
    const [value] = cryptoki.attribute(session, object, type);
    return value === undefined ? undefined : value !== 0;
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return undefined;
    throw error;
  }
}

/** @throws RangeError when the token hands out a key's value (and clears it). */
export function valueIsRefused(cryptoki: Cryptoki, session: Handle, key: Handle, what: string): void {
  let value: Buffer;
  try {
    value = cryptoki.attribute(session, key, CKA.VALUE);
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return;
    throw error;
  }
  if (value.length === 0) return;
  value.fill(0);
  throw new RangeError(`the token gives out the value of ${what} (CKA_VALUE)`);
}
