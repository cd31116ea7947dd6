import { randomBytes } from 'node:crypto';
import { CKA, CKK, CKM, CKO } from '../constants.ts';
import type { Entrance } from '../delivery/entrance.ts';
import { type NestedAttribute, unwrapWithNestedTemplate } from '../delivery/nested-template.ts';
import { type StoredKey, takeWhatItCan } from '../delivery/stored-keys.ts';
import { storedMasterKey } from '../delivery/templates.ts';
import { encryptFor, oaep } from '../delivery/transport.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Attribute, Cryptoki, Handle } from '../module.ts';

/**
 * Keys that exist for as long as the qualification's session: everything here is a session object (CKA_TOKEN false), so
 * nothing is left on the token, however this process ends. The key store's own keys are never used for any of it.
 */

const attribute = (type: number, value: Attribute['value']): Attribute => ({ type, value });

/** An AES key that wraps and unwraps and has no other protection: shows what the mechanisms can do. */
export function plainWrappingKey(cryptoki: Cryptoki, session: Handle): Handle {
  return cryptoki.generateKey(session, { mechanism: CKM.AES_KEY_GEN }, [
    attribute(CKA.CLASS, CKO.SECRET_KEY),
    attribute(CKA.KEY_TYPE, CKK.AES),
    attribute(CKA.VALUE_LEN, 32),
    attribute(CKA.TOKEN, false),
    attribute(CKA.PRIVATE, true),
    attribute(CKA.SENSITIVE, true),
    attribute(CKA.EXTRACTABLE, false),
    attribute(CKA.WRAP, true),
    attribute(CKA.UNWRAP, true),
    attribute(CKA.ENCRYPT, false),
    attribute(CKA.DECRYPT, false),
  ]);
}

export function hmacKey(cryptoki: Cryptoki, session: Handle): Handle {
  return cryptoki.generateKey(session, { mechanism: CKM.GENERIC_SECRET_KEY_GEN }, [
    attribute(CKA.CLASS, CKO.SECRET_KEY),
    attribute(CKA.KEY_TYPE, CKK.GENERIC_SECRET),
    attribute(CKA.VALUE_LEN, 32),
    attribute(CKA.TOKEN, false),
    attribute(CKA.PRIVATE, true),
    attribute(CKA.SENSITIVE, true),
    attribute(CKA.SIGN, true),
  ]);
}

/** Whether the token makes an HMAC-SHA-256 with a key of its own. */
export function hmacWorks(cryptoki: Cryptoki, session: Handle): boolean {
  try {
    const key = hmacKey(cryptoki, session);
    return cryptoki.sign(session, { mechanism: CKM.SHA256_HMAC }, key, randomBytes(40)).length === 32;
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.gone !== true) return false;
    throw error;
  }
}

/**
 * A key with the master key's template, made the way the ceremony makes it, but as a session object.
 * @returns undefined when the token takes it in no form.
 */
export function throwAwayMasterKey(
  session: Handle,
  module: string,
  { transportKey, publicKey, hash }: Entrance,
  wrapMechanism: number,
): StoredKey | undefined {
  const name = { label: 'hsm-driver qualify', ckaId: randomBytes(16).toString('hex') };
  const template = storedMasterKey(name, wrapMechanism).map(
    (one): NestedAttribute => (one.type === CKA.TOKEN ? attribute(CKA.TOKEN, false) : one),
  );
  const blob = encryptFor(publicKey, hash, randomBytes(32));
  try {
    return takeWhatItCan(template, (kept) =>
      unwrapWithNestedTemplate(module, session, oaep(hash), transportKey.privateKey, blob, kept),
    );
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.gone !== true) return undefined;
    throw error;
  }
}
