import { createHash } from 'node:crypto';
import { CKA, CKK, CKO } from './constants.ts';
import { Pkcs11Fault } from './fault.ts';
import type { Template } from './module.ts';
import type { Session } from './session.ts';

/**
 * A master key’s fingerprint, for people who compare HSMs: the same on every token that holds the same key. It proves
 * nothing, the canaries do (CKA_CHECK_VALUE would prove even less: it is empty after an unwrap).
 */
export interface Fingerprint {
  /** How it was made: values of different methods are not comparable. */
  readonly method: string;
  /** 16 hex digits. */
  readonly value: string;
}

/** Known to everybody, so that its wrap tells nothing but which key wrapped it. */
const publicSecret = createHash('sha256').update('hsm-driver master key fingerprint v1').digest();
const shownDigits = 16;

/**
 * The wrap of a fixed public secret, hashed and shortened. Only RFC 5649 has no IV, so that two tokens come to the same
 * bytes. The secret is a session object and is destroyed again.
 * @returns undefined where the token’s algorithm has an IV, or where it refuses to import or to wrap the secret.
 */
export function fingerprintOf(session: Session): Fingerprint | undefined {
  if (session.wrapMethod.algorithm !== 'RFC5649') return undefined;
  try {
    const secret = session.cryptoki.createObject(session.handle, template());
    try {
      const value = createHash('sha256').update(session.wrap(secret)).digest('hex').slice(0, shownDigits);
      return { method: 'RFC5649-SHA256', value };
    } finally {
      session.destroy(secret);
    }
  } catch (error) {
    // A token may allow nobody to import anything, or this key to wrap nothing but private keys, and says so in its own
    // way. It is for people only: whether the device is well was proven before.
    if (error instanceof Pkcs11Fault && error.ckr.class !== 'session') return undefined;
    throw error;
  }
}

function template(): Template {
  return [
    { type: CKA.CLASS, value: CKO.SECRET_KEY },
    { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
    { type: CKA.TOKEN, value: false },
    { type: CKA.SENSITIVE, value: false },
    { type: CKA.EXTRACTABLE, value: true },
    { type: CKA.VALUE, value: publicSecret },
  ];
}
