import { CodedError } from '../../shared/errors.ts';
import type { Curve } from '../../shared/keys.ts';
import type { WrapAlgorithm, WrapMethod } from '../../shared/wrap-algorithms.ts';
import { CKA, CKM } from './constants.ts';
import { curveFacts } from './curve.ts';
import { lowS, publicKeyHex } from './encoding.ts';
import { Pkcs11Fault } from './fault.ts';
import type { Cryptoki, Handle } from './module.ts';
import { generateTemplates, labelSearch, secretKeySearch, unwrapTemplate } from './templates.ts';
import type { Token } from './token.ts';
import { unwrapKey, wrapKey } from './wrap.ts';

/**
 * One open session on a logged-in token, with the key store's master key and integrity key found. Used by one thread, one
 * operation at a time. Key handles are lent for the length of a function and destroyed after it, whatever happened.
 */
export interface Session {
  readonly cryptoki: Cryptoki;
  readonly handle: Handle;
  readonly masterKey: Handle;
  readonly integrityKey: Handle;
  /** How this token wraps and unwraps. */
  readonly wrapMethod: WrapMethod;
  /** Another number for the same algorithm, which the probe proved on this token. */
  useMechanism(mechanism: number): void;
  /**
   * A key pair is generated, lent, and destroyed: the only place where an extractable private key exists.
   * @param publicKey hex, as in src/shared/keys.ts.
   */
  withNewKey<Value>(curve: Curve, use: (privateKey: Handle, publicKey: string) => Value): Value;
  /** The private key in a blob, opened by the master key as a session object that cannot leave, lent and destroyed. */
  withUnwrapped<Value>(curve: Curve, blob: Buffer, use: (privateKey: Handle) => Value): Value;
  /** C_UnwrapKey without the loan, for the one key that lives as long as the session. */
  unwrap(curve: Curve, blob: Buffer): Handle;
  destroy(key: Handle): void;
  wrap(privateKey: Handle): Buffer;
  /**
   * r‖s, 64 bytes, low-s for ECDSA; not yet verified.
   * @param data 32-byte digest for ECDSA, the message for EdDSA.
   */
  sign(curve: Curve, privateKey: Handle, data: Buffer): Buffer;
  /** HMAC-SHA-256 by the integrity key, 32 bytes. */
  hmac(message: Buffer): Buffer;
  /** True once a key could not be destroyed: only closing the session gets rid of it. */
  readonly tainted: boolean;
  /** Closes it, and with it every session object made on it. Never throws: there may be nothing left to close. */
  close(): void;
}

/** How the two keys are found, and how the master key wraps: part of the ceremony file. */
export interface KeyStoreKeys {
  readonly masterKey: KeySearch & { readonly wrapAlgorithm: WrapAlgorithm; readonly wrapMechanism: number };
  readonly integrityKey: KeySearch;
}
interface KeySearch {
  readonly label: string;
  /** CKA_ID, hex. */
  readonly ckaId: string;
}

/**
 * @param handle an open session of a logged-in user; closed by this function when it throws.
 * @throws MASTER_KEY_MISSING, MASTER_KEY_OTHER (more than one), Pkcs11Fault
 */
export function createSession(cryptoki: Cryptoki, token: Token, handle: Handle, keys: KeyStoreKeys): Session {
  try {
    const masterKey = findMasterKey(cryptoki, token, handle, keys);
    const integrityKey = findIntegrityKey(cryptoki, token, handle, keys);
    const { wrapAlgorithm: algorithm, wrapMechanism: mechanism } = keys.masterKey;
    return sessionWith(cryptoki, handle, { masterKey, integrityKey, wrapMethod: { algorithm, mechanism } });
  } catch (error) {
    closeQuietly(cryptoki, handle);
    throw error;
  }
}

/** Gone already, or the device is: the process is replaced then. */
function closeQuietly(cryptoki: Cryptoki, handle: Handle): void {
  try {
    cryptoki.closeSession(handle);
  } catch {
    // Nothing is left to close.
  }
}

/** The keys by their handles: for keys that were not found but made, and live as long as their session. */
export function sessionWith(
  cryptoki: Cryptoki,
  handle: Handle,
  keys: { readonly masterKey: Handle; readonly integrityKey: Handle; readonly wrapMethod: WrapMethod },
): Session {
  const { masterKey, integrityKey } = keys;
  let { wrapMethod } = keys;
  let tainted = false;
  let takesOtherForm = false;

  function destroy(key: Handle): void {
    try {
      cryptoki.destroyObject(handle, key);
    } catch {
      tainted = true;
    }
  }

  /** Tokens differ in how they want an Edwards curve to be named; the form that worked is used from then on. */
  function generatePair(curve: Curve): ReturnType<Cryptoki['generateKeyPair']> {
    const { generate, parameters, otherParameters } = curveFacts[curve];
    const make = (form: Buffer): ReturnType<Cryptoki['generateKeyPair']> => {
      const { publicKey, privateKey } = generateTemplates(curve, form);
      return cryptoki.generateKeyPair(handle, { mechanism: generate }, publicKey, privateKey);
    };
    if (otherParameters === undefined) return make(parameters);
    if (takesOtherForm) return make(otherParameters);
    try {
      return make(parameters);
    } catch (refusal) {
      if (!(refusal instanceof Pkcs11Fault) || refusal.ckr.class !== 'request') throw refusal;
      try {
        const pair = make(otherParameters);
        takesOtherForm = true;
        return pair;
      } catch {
        throw refusal;
      }
    }
  }

  function lend<Value>(key: Handle, use: (key: Handle) => Value): Value {
    try {
      return use(key);
    } finally {
      destroy(key);
    }
  }

  function unwrap(curve: Curve, blob: Buffer): Handle {
    return unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, unwrapTemplate(curve));
  }

  return {
    cryptoki,
    handle,
    masterKey,
    integrityKey,
    get wrapMethod() {
      return wrapMethod;
    },
    useMechanism(mechanism) {
      wrapMethod = { ...wrapMethod, mechanism };
    },
    withNewKey(curve, use) {
      const pair = generatePair(curve);
      return lend(pair.privateKey, () =>
        lend(pair.publicKey, () =>
          use(pair.privateKey, publicKeyHex(curve, cryptoki.attribute(handle, pair.publicKey, CKA.EC_POINT))),
        ),
      );
    },
    withUnwrapped: (curve, blob, use) => lend(unwrap(curve, blob), use),
    unwrap,
    destroy,
    wrap: (privateKey) => wrapKey(cryptoki, handle, wrapMethod, masterKey, privateKey),
    sign(curve, privateKey, data) {
      const signature = cryptoki.sign(handle, { mechanism: curveFacts[curve].sign }, privateKey, data);
      if (curve !== 'ed25519') return lowS(curve, signature);
      if (signature.length !== 64) throw new RangeError(`an Ed25519 signature of ${signature.length} bytes`);
      return signature;
    },
    hmac(message) {
      const mac = cryptoki.sign(handle, { mechanism: CKM.SHA256_HMAC }, integrityKey, message);
      if (mac.length !== 32) throw new RangeError(`an HMAC-SHA-256 of ${mac.length} bytes`);
      return mac;
    },
    get tainted() {
      return tainted;
    },
    close: () => closeQuietly(cryptoki, handle),
  };
}

/** @throws MASTER_KEY_MISSING, MASTER_KEY_OTHER (of another ceremony, or more than one), Pkcs11Fault */
export function findMasterKey(cryptoki: Cryptoki, token: Token, session: Handle, keys: KeyStoreKeys): Handle {
  return findOne(cryptoki, token, session, 'master key', keys.masterKey);
}

/** @throws as `findMasterKey` */
export function findIntegrityKey(cryptoki: Cryptoki, token: Token, session: Handle, keys: KeyStoreKeys): Handle {
  return findOne(cryptoki, token, session, 'integrity key', keys.integrityKey);
}

/** Exactly one object fits: asks for two, so that a second one is seen. */
function findOne(cryptoki: Cryptoki, token: Token, session: Handle, what: string, { label, ckaId }: KeySearch): Handle {
  const [found, second] = cryptoki.find(session, secretKeySearch(label, ckaId), 2);
  const named = `${what} (CKA_LABEL “${label}”, CKA_ID ${ckaId}) on token “${token.info.label}” (${token.info.serial})`;
  if (found === undefined) {
    const [other] = cryptoki.find(session, labelSearch(label), 1);
    if (other === undefined) throw new CodedError('MASTER_KEY_MISSING', `there is no ${named}`);
    throw new CodedError('MASTER_KEY_OTHER', `there is no ${named}, but one of that label from another ceremony`);
  }
  if (second !== undefined) throw new CodedError('MASTER_KEY_OTHER', `there is more than one ${named}`);
  return found;
}
