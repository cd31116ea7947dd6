import { createHmac, randomBytes } from 'node:crypto';
import { CKA, CKK, CKM, CKO } from '../constants.ts';
import type { KeyName } from '../delivery/keys.ts';
import {
  generateWithNestedTemplate,
  type NestedAttribute,
  unwrapWithNestedTemplate,
} from '../delivery/nested-template.ts';
import { type StoredKey, takeWhatItCan } from '../delivery/stored-keys.ts';
import { storedIntegrityKey, storedMasterKey } from '../delivery/templates.ts';
import { type Entrance, encryptFor, importKnown, oaep } from '../delivery/transport.ts';
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

/**
 * Whether the token makes an HMAC-SHA-256 with a key in it: what software makes of the same key, where a known one can be
 * brought in (under the integrity key's template); else at least 32 bytes that depend on the message and on nothing else.
 */
export function hmacWorks(cryptoki: Cryptoki, session: Handle, entrance: Entrance | undefined): boolean {
  const message = randomBytes(40);
  const mac = (key: Handle, of: Buffer): Buffer => cryptoki.sign(session, { mechanism: CKM.SHA256_HMAC }, key, of);
  try {
    if (entrance === undefined) {
      const key = hmacKey(cryptoki, session);
      const made = mac(key, message);
      return made.length === 32 && made.equals(mac(key, message)) && !made.equals(mac(key, randomBytes(40)));
    }
    const secret = randomBytes(32);
    const key = importKnown(cryptoki, session, entrance, secret, inSession(storedIntegrityKey(throwAwayName())));
    return mac(key, message).equals(createHmac('sha256', secret).update(message).digest());
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.gone !== true) return false;
    throw error;
  }
}

/**
 * A key with the master key's template, made the way the ceremony makes it, but as a session object; where no key can be
 * brought in, generated with the same template, as a vendor's tools would.
 * @returns undefined when the token takes it in no form.
 */
export function throwAwayMasterKey(
  session: Handle,
  module: string,
  entrance: Entrance | undefined,
  wrapMechanism: number,
): StoredKey | undefined {
  const template = inSession(storedMasterKey(throwAwayName(), wrapMechanism));
  try {
    if (entrance === undefined) {
      // Before the others: nothing may follow CKA_MODIFIABLE.
      const valueLength = attribute(CKA.VALUE_LEN, 32);
      return takeWhatItCan(template, (kept) =>
        generateWithNestedTemplate(module, session, { mechanism: CKM.AES_KEY_GEN }, [valueLength, ...kept]),
      );
    }
    const { transportKey, publicKey, hash } = entrance;
    const blob = encryptFor(publicKey, hash, randomBytes(32));
    return takeWhatItCan(template, (kept) =>
      unwrapWithNestedTemplate(module, session, oaep(hash), transportKey.privateKey, blob, kept),
    );
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.gone !== true) return undefined;
    throw error;
  }
}

function throwAwayName(): KeyName {
  return { label: 'hsm-driver qualify', ckaId: randomBytes(16).toString('hex') };
}

function inSession<One extends NestedAttribute>(template: readonly One[]): One[] {
  return template.map((one) => (one.type === CKA.TOKEN ? { ...one, value: false } : one));
}
