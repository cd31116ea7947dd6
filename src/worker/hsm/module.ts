import pkcs11js from 'pkcs11js';
import { CodedError } from '../../shared/errors.ts';
import { CKR } from './ckr.ts';
import { CKF } from './constants.ts';
import { asFault, Pkcs11Fault } from './fault.ts';
import { checkModuleFile } from './module-file.ts';

/**
 * The one door to PKCS#11: no other file imports the binding. Only the functions that are used, all synchronous (the
 * binding's asynchronous calls leak and keep raw pointers, pkcs11js issues #120 and #121), every failure a Pkcs11Fault,
 * every call announced to a clock so that a call that never returns can be seen from another thread.
 *
 * Never here: C_Logout (it would log out every session of the process), C_Finalize (it can hang; a new process starts
 * clean), the binding's close() (fatal while a call runs).
 */

/** CK_ULONG in native byte order: sessions, objects and slots. Valid in this process only. */
export type Handle = Buffer;

/** A wrong kind of value makes the binding abort the process; `checked` refuses it first. */
export interface Attribute {
  readonly type: number;
  readonly value: number | boolean | string | Buffer;
}
export type Template = readonly Attribute[];

/** CK_RSA_PKCS_OAEP_PARAMS without source data. */
export interface OaepParameter {
  readonly hashAlg: number;
  readonly mgf: number;
  readonly source: number;
}
/** CK_GCM_PARAMS (PKCS#11 3.1 section 6.13.3). The library may write its own IV over `iv`. */
export interface GcmParameter {
  readonly iv: Buffer;
  readonly aad: Buffer;
  readonly tagBits: number;
}
export interface Mechanism {
  readonly mechanism: number;
  readonly oaep?: OaepParameter;
  readonly gcm?: GcmParameter;
  /** A parameter that is nothing but an initialisation vector. */
  readonly iv?: Buffer;
}

/** CK_INFO as far as it is used. */
export interface LibraryInfo {
  readonly cryptoki: string;
  readonly manufacturer: string;
  readonly description: string;
  readonly version: string;
}

/** CK_TOKEN_INFO as far as it is used; texts without their padding. */
export interface TokenInfo {
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
  readonly flags: number;
}

/** Told of every native call of its thread: the watchdog's eye. */
export interface CallClock {
  enter(): void;
  leave(): void;
}

export interface Cryptoki {
  /** @returns false when another thread of this process has initialised the library already. */
  initialize(): boolean;
  info(): LibraryInfo;
  slots(): Handle[];
  /** What the token advertises; only a round trip proves any of it. */
  mechanisms(slot: Handle): number[];
  /** CKF_… of CK_MECHANISM_INFO. */
  mechanismFlags(slot: Handle, mechanism: number): number;
  tokenInfo(slot: Handle): TokenInfo;
  openSession(slot: Handle): Handle;
  closeSession(session: Handle): void;
  /** The binding takes the PIN as a JavaScript string, which cannot be overwritten: it stays in memory until collected. */
  login(session: Handle, userType: number, pin: Buffer): void;
  initToken(slot: Handle, soPin: Buffer, label: string): void;
  initPin(session: Handle, pin: Buffer): void;
  /** At most `limit` objects; the search is always ended. */
  find(session: Handle, template: Template, limit: number): Handle[];
  attribute(session: Handle, object: Handle, type: number): Buffer;
  setAttributes(session: Handle, object: Handle, template: Template): void;
  createObject(session: Handle, template: Template): Handle;
  copyObject(session: Handle, object: Handle, template: Template): Handle;
  destroyObject(session: Handle, object: Handle): void;
  generateKey(session: Handle, mechanism: Mechanism, template: Template): Handle;
  generateKeyPair(
    session: Handle,
    mechanism: Mechanism,
    publicKey: Template,
    privateKey: Template,
  ): { publicKey: Handle; privateKey: Handle };
  wrapKey(session: Handle, mechanism: Mechanism, wrappingKey: Handle, key: Handle): Buffer;
  unwrapKey(session: Handle, mechanism: Mechanism, unwrappingKey: Handle, blob: Buffer, template: Template): Handle;
  /** C_SignInit and C_Sign. @param data neither empty nor shared with another thread. */
  sign(session: Handle, mechanism: Mechanism, key: Handle, data: Buffer): Buffer;
  /** C_DecryptInit and C_Decrypt: nothing of ours is decrypted; it is what a thief would call. */
  decrypt(session: Handle, mechanism: Mechanism, key: Handle, data: Buffer): Buffer;
}

const silent: CallClock = { enter() {}, leave() {} };

/** Larger than any wrapped EC key or OAEP ciphertext of RSA-4096. */
const maxWrappedBytes = 4096;
/** Larger than any signature or MAC that is asked for. */
const maxSignatureBytes = 1024;

/**
 * Loads a PKCS#11 library into this process. A fresh binding object each time: after a failed load its next call would
 * crash the process.
 * @throws MODULE_NOT_LOADED naming the path and the loader's reason.
 */
export function loadModule(file: string, clock: CallClock = silent): Cryptoki {
  checkModuleFile(file);
  const library = new pkcs11js.PKCS11();
  clock.enter();
  try {
    library.load(file);
  } catch (cause) {
    throw new CodedError('MODULE_NOT_LOADED', `${file}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  } finally {
    clock.leave();
  }
  return cryptoki(library, clock);
}

function cryptoki(library: pkcs11js.PKCS11, clock: CallClock): Cryptoki {
  function call<Value>(name: string, native: () => Value): Value {
    clock.enter();
    try {
      return native();
    } catch (thrown) {
      throw asFault(name, thrown);
    } finally {
      clock.leave();
    }
  }

  return {
    initialize() {
      try {
        // Without this flag the library may assume one thread: SoftHSM then corrupts its memory.
        call('C_Initialize', () => library.C_Initialize({ flags: CKF.OS_LOCKING_OK }));
        return true;
      } catch (fault) {
        if (fault instanceof Pkcs11Fault && fault.code === CKR.CRYPTOKI_ALREADY_INITIALIZED) return false;
        throw fault;
      }
    },
    info: () =>
      call('C_GetInfo', () => {
        const { cryptokiVersion, manufacturerID, libraryDescription, libraryVersion } = library.C_GetInfo();
        return {
          cryptoki: `${cryptokiVersion.major}.${cryptokiVersion.minor}`,
          manufacturer: unpadded(manufacturerID),
          description: unpadded(libraryDescription),
          version: `${libraryVersion.major}.${libraryVersion.minor}`,
        };
      }),
    mechanisms: (slot) => call('C_GetMechanismList', () => library.C_GetMechanismList(slot)),
    mechanismFlags: (slot, mechanism) =>
      call('C_GetMechanismInfo', () => library.C_GetMechanismInfo(slot, mechanism).flags),
    slots: () => call('C_GetSlotList', () => library.C_GetSlotList(true)),
    tokenInfo: (slot) => call('C_GetTokenInfo', () => plain(library.C_GetTokenInfo(slot))),
    openSession: (slot) =>
      call('C_OpenSession', () => library.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION)),
    closeSession: (session) => call('C_CloseSession', () => library.C_CloseSession(session)),
    login: (session, userType, pin) => call('C_Login', () => library.C_Login(session, userType, pin.toString('utf8'))),
    initToken: (slot, soPin, label) => {
      // The label is passed on without its length: anything but 32 bytes would be read past its end.
      const missing = 32 - Buffer.byteLength(label);
      if (missing < 0) throw new RangeError('a token label has at most 32 bytes');
      const padded = label + ' '.repeat(missing);
      call('C_InitToken', () => library.C_InitToken(slot, soPin.toString('utf8'), padded));
    },
    initPin: (session, pin) => call('C_InitPIN', () => library.C_InitPIN(session, pin.toString('utf8'))),
    find(session, template, limit) {
      call('C_FindObjectsInit', () => library.C_FindObjectsInit(session, checked(template)));
      let found: Handle[];
      try {
        found = call('C_FindObjects', () => library.C_FindObjects(session, limit));
      } catch (fault) {
        try {
          call('C_FindObjectsFinal', () => library.C_FindObjectsFinal(session));
        } catch {
          // The search's own fault says more.
        }
        throw fault;
      }
      call('C_FindObjectsFinal', () => library.C_FindObjectsFinal(session));
      return found;
    },
    attribute: (session, object, type) =>
      call(
        'C_GetAttributeValue',
        () => library.C_GetAttributeValue(session, object, [{ type }])[0]?.value ?? Buffer.alloc(0),
      ),
    setAttributes: (session, object, template) =>
      call('C_SetAttributeValue', () => library.C_SetAttributeValue(session, object, checked(template))),
    createObject: (session, template) =>
      call('C_CreateObject', () => library.C_CreateObject(session, checked(template))),
    copyObject: (session, object, template) =>
      call('C_CopyObject', () => library.C_CopyObject(session, object, checked(template))),
    destroyObject: (session, object) => call('C_DestroyObject', () => library.C_DestroyObject(session, object)),
    generateKey: (session, mechanism, template) =>
      call('C_GenerateKey', () => library.C_GenerateKey(session, native(mechanism), checked(template))),
    generateKeyPair: (session, mechanism, publicKey, privateKey) =>
      call('C_GenerateKeyPair', () =>
        library.C_GenerateKeyPair(session, native(mechanism), checked(publicKey), checked(privateKey)),
      ),
    wrapKey: (session, mechanism, wrappingKey, key) =>
      call('C_WrapKey', () =>
        // The answer is a view of the large buffer: copied, so that the rest of it is not kept or sent along.
        Buffer.from(library.C_WrapKey(session, native(mechanism), wrappingKey, key, Buffer.alloc(maxWrappedBytes))),
      ),
    unwrapKey: (session, mechanism, unwrappingKey, blob, template) =>
      call('C_UnwrapKey', () =>
        library.C_UnwrapKey(session, native(mechanism), unwrappingKey, blob, checked(template)),
      ),
    sign(session, mechanism, key, data) {
      call('C_SignInit', () => library.C_SignInit(session, native(mechanism), key));
      return call('C_Sign', () => Buffer.from(library.C_Sign(session, data, Buffer.allocUnsafe(maxSignatureBytes))));
    },
    decrypt(session, mechanism, key, data) {
      call('C_DecryptInit', () => library.C_DecryptInit(session, native(mechanism), key));
      return call('C_Decrypt', () => Buffer.from(library.C_Decrypt(session, data, Buffer.alloc(maxWrappedBytes))));
    },
  };
}

function plain(info: pkcs11js.TokenInfo): TokenInfo {
  return {
    label: unpadded(info.label),
    serial: unpadded(info.serialNumber),
    manufacturer: unpadded(info.manufacturerID),
    model: unpadded(info.model),
    firmware: `${info.firmwareVersion.major}.${info.firmwareVersion.minor}`,
    flags: info.flags,
  };
}

/** Texts are blank-padded by the standard; some tokens pad with NUL. */
function unpadded(text: string): string {
  return text.replaceAll('\0', ' ').trimEnd();
}

/** A type the binding does not know would pass uninitialised memory to the HSM. */
function native({ mechanism, oaep, gcm, iv }: Mechanism): pkcs11js.Mechanism {
  if (oaep !== undefined) return { mechanism, parameter: { type: ckParams.RSA_OAEP, ...oaep } as pkcs11js.RsaOAEP };
  if (gcm !== undefined) {
    const parameter = { type: ckParams.GCM, ...gcm, ivBits: gcm.iv.length * 8 };
    return { mechanism, parameter: parameter as pkcs11js.GcmParams };
  }
  return iv === undefined ? { mechanism } : { mechanism, parameter: iv };
}

/** The binding’s numbers (CK_PARAMS_…). */
const ckParams = { RSA_OAEP: 4, GCM: 25 } as const;

function checked(template: Template): pkcs11js.Template {
  for (const { type, value } of template) {
    const kind = Buffer.isBuffer(value) ? 'buffer' : typeof value;
    if (!Number.isInteger(type) || !['boolean', 'number', 'string', 'buffer'].includes(kind)) {
      throw new TypeError(`attribute 0x${Number(type).toString(16)} has a value of type ${kind}`);
    }
  }
  return template as pkcs11js.Template;
}
