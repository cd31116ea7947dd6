import { randomBytes } from 'node:crypto';
import type { CeremonyFile } from '../../shared/ceremony-file.ts';
import { readSecretFile } from '../../shared/configuration/secret-file.ts';
import type { SlotConfiguration } from '../../shared/configuration/sections.ts';
import { CodedError } from '../../shared/errors.ts';
import { type KeyRing, masterKeysOf } from '../../shared/key-ring.ts';
import type { Curve } from '../../shared/keys.ts';
import { inLoginTurn } from '../pin-guard/login-turn.ts';
import type { KnownRefusals } from '../pin-guard/refused-since.ts';
import { publicKeyHex } from './encoding.ts';
import { failureOf, isWornOut, mayBlameBlob, succeeded } from './failure.ts';
import { Pkcs11Fault } from './fault.ts';
import { findKeys, type HeldKeys, isTainted, type SlotPurpose } from './held-keys.ts';
import { openCanary } from './identity.ts';
import type { HsmResult, KeyProof } from './jobs.ts';
import { createKeptKeys } from './kept-keys.ts';
import { guardedLogin, type LoginGuard, type LoginResult } from './login-guard.ts';
import type { Cryptoki, Handle } from './module.ts';
import type { OpenableKey } from './openable-key.ts';
import type { Session } from './session.ts';
import { signVerified } from './sign-verified.ts';
import { login, selectToken, type Token } from './token.ts';

/**
 * What one session thread works with: its session, and how to replace it; the attestation key, unwrapped for as long as
 * the session lives; the start-up blob. Everything here is synchronous.
 */
export interface Workbench {
  readonly token: Token;
  readonly slot: SlotConfiguration;
  /** The PIN counter was low before this login succeeded. */
  readonly countLow: boolean;
  readonly purpose: SlotPurpose;
  readonly ring: KeyRing;
  /** The ring’s current one. */
  readonly ceremony: CeremonyFile;
  /** With the current keys. */
  readonly session: Session;
  readonly held: HeldKeys;
  /** CKM_ECDSA by the attestation key, r‖s, verified. @param digest 32 bytes. */
  attest(digest: Buffer): Buffer;
  /** From here on, with what the probe found. */
  arm(armament: Armament): void;
  /**
   * HMAC-SHA-256 by an integrity key of the ring.
   * @throws KEY_NOT_ON_SLOT when it is not among the proven ones
   */
  tag(integrityKeyId: string, message: Buffer): Buffer;
  /** On a rotation slot: the view whose master key is an older one. @throws KEY_NOT_ON_SLOT */
  rotationKey(masterKeyId: string): Session;
  /** Unwraps, signs, verifies with the start-up blob. @throws HSM_DEVICE_FAULT, or what a new session may mend. */
  proveHealthy(): void;
  /**
   * Lends the key in a blob, and finds out whether a failure to open it is the blob's fault.
   * @throws KEY_UNUSABLE when the blob fails twice and start-up blob and canary open in between; KEY_NOT_ON_SLOT
   */
  withUnwrapped<Value>(wrapped: OpenableKey, use: (key: Handle) => Value): Value;
  /**
   * The same, but the key may stay open for a while, where the slot allows that, and may have been open already.
   * `fresh`: it was not. A fault with a key that is not fresh is to be thrown: the key is opened anew and used again.
   */
  withOpen<Value>(wrapped: OpenableKey, use: (key: Handle, fresh: boolean) => Value): Value;
  /** The device is in doubt: nothing stays open. */
  closeKeys(): void;
  /** One item of work; a worn-out session is replaced once and the item tried again. Never throws. */
  attempt<Value>(item: () => Value): HsmResult<Value>;
  close(): void;
}

/** A wrapped key made by this worker at its start and held in memory: it opens if and only if the device is well. */
export interface StartUpBlob {
  readonly curve: Curve;
  readonly publicKey: string;
  readonly blob: Uint8Array;
  /** The number under which this token wraps, as the probe proved it. */
  readonly wrapMechanism: number;
}

/** What the probe found, for the other sessions of the slot. */
export interface Armament {
  readonly startUpBlob: StartUpBlob;
  /** Of every key of the ring. */
  readonly keys: readonly KeyProof[];
  /** What is asked before a session logs in again. */
  readonly refusals?: KnownRefusals | undefined;
}

export interface WorkbenchOptions {
  readonly purpose: SlotPurpose;
  readonly slot: SlotConfiguration;
  readonly ring: KeyRing;
  readonly guard: LoginGuard;
}

/** Initialises the library where no other thread has, selects the token, logs in, finds the keys. In the start-up turn. */
export function openWorkbench(cryptoki: Cryptoki, { slot, ring, guard, purpose }: WorkbenchOptions): Workbench {
  cryptoki.initialize();
  const token = selectToken(cryptoki, { label: slot.tokenLabel, serial: slot.tokenSerial });
  let countLow = false;
  let attestationKey: Handle | undefined;
  let startUp: StartUpBlob | undefined;
  let refusals: KnownRefusals | undefined;
  let proven: ReadonlySet<string> = new Set([ring.current.masterKey.id, ring.current.integrityKey.id]);
  let held = newSession();
  const kept = slot.unwrappedKeyTtlMs > 0 ? createKeptKeys(slot.unwrappedKeyTtlMs, slot.unwrappedKeys) : undefined;

  function newSession(): HeldKeys {
    const handle = cryptoki.openSession(token.slot);
    try {
      // Read anew each time, so that no PIN stays in memory between logins.
      const pin = readSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
      const result = guardedLogin(guard, pin, logIn(handle));
      countLow ||= result.countLow;
    } catch (error) {
      closeQuietly(cryptoki, handle);
      throw error;
    }
    const found = findKeys(cryptoki, token, handle, ring);
    if (startUp !== undefined) found.current.useMechanism(startUp.wrapMechanism);
    return found;
  }

  /** Workers that lose their logins together must not all try a PIN that the first of them was refused. */
  function logIn(handle: Handle): (pin: Buffer) => LoginResult {
    return (pin) => {
      const once = (): LoginResult => login(cryptoki, handle, token, pin);
      return refusals === undefined ? once() : inLoginTurn(refusals, once);
    };
  }

  function renew(): void {
    held.current.close();
    kept?.lost();
    attestationKey = undefined;
    held = newSession();
  }

  /** @throws KEY_NOT_ON_SLOT */
  function counted(id: string, views: ReadonlyMap<string, Session>): Session {
    const view = proven.has(id) ? views.get(id) : undefined;
    if (view !== undefined) return view;
    throw new CodedError('KEY_NOT_ON_SLOT', `${id} on token “${token.info.label}” (${token.info.serial})`);
  }

  function proveHealthy(): void {
    if (startUp === undefined) throw new CodedError('HSM_DEVICE_FAULT', 'there is no start-up blob yet to tell by');
    const { curve, publicKey, blob } = startUp;
    try {
      held.current.withUnwrapped(curve, asBuffer(blob), (key) =>
        signVerified(held.current, curve, key, publicKey, randomBytes(32)),
      );
    } catch (error) {
      if (isWornOut(error)) throw error;
      throw new CodedError('HSM_DEVICE_FAULT', `the start-up blob fails too (${(error as Error).message})`, {
        cause: error,
      });
    }
  }

  function open(session: Session, { named, masterKeyId, curve, blob }: OpenableKey): Handle {
    try {
      return session.unwrap(curve, blob);
    } catch (first) {
      if (!mayBlameBlob(first)) throw first;
      proveHealthy();
      proveCanaryOf(masterKeyId, session);
      try {
        return session.unwrap(curve, blob);
      } catch (second) {
        if (!mayBlameBlob(second)) throw second;
        throw new CodedError('KEY_UNUSABLE', `${named} (${(second as Error).message})`, { cause: second });
      }
    }
  }

  function lend<Value>(wrapped: OpenableKey, use: (key: Handle) => Value): Value {
    const session = counted(wrapped.masterKeyId, held.masterKeys);
    const key = open(session, wrapped);
    try {
      return use(key);
    } finally {
      session.destroy(key);
    }
  }

  /** The start-up blob speaks for the current master key only. */
  function proveCanaryOf(masterKeyId: string, session: Session): void {
    const file = masterKeysOf(ring).find(({ masterKey }) => masterKey.id === masterKeyId);
    if (file === undefined || file === ring.current) return;
    try {
      openCanary(session, file);
    } catch (error) {
      if (isWornOut(error)) throw error;
      const { label, serial } = token.info;
      throw new CodedError(
        'KEY_NOT_ON_SLOT',
        `${masterKeyId} opens its canary no more on token “${label}” (${serial})`,
        {
          cause: error,
        },
      );
    }
  }

  /** A key that could not be destroyed, perhaps an extractable one, goes at once with its session. */
  function once<Value>(item: () => Value): Value {
    try {
      return item();
    } finally {
      if (isTainted(held)) held.current.close();
    }
  }

  return {
    token,
    slot,
    purpose,
    ring,
    ceremony: ring.current,
    get countLow() {
      return countLow;
    },
    get session() {
      return held.current;
    },
    get held() {
      return held;
    },
    attest(digest) {
      const { publicKey, blob } = ring.current.attestationKey;
      attestationKey ??= held.current.unwrap('P-256', Buffer.from(blob, 'base64'));
      return Buffer.from(signVerified(held.current, 'P-256', attestationKey, compressed(publicKey), digest).rs, 'hex');
    },
    arm({ startUpBlob, keys, refusals: known }) {
      refusals = known;
      startUp = startUpBlob;
      proven = new Set(keys.flatMap(({ id, proven: counts }) => (counts ? [id] : [])));
      held.current.useMechanism(startUpBlob.wrapMechanism);
    },
    rotationKey: (masterKeyId) => counted(masterKeyId, held.masterKeys),
    tag: (integrityKeyId, message) => counted(integrityKeyId, held.integrityKeys).hmac(message),
    proveHealthy,
    withUnwrapped: lend,
    withOpen(wrapped, use) {
      if (kept === undefined) return lend(wrapped, (key) => use(key, true));
      const session = counted(wrapped.masterKeyId, held.masterKeys);
      const before = kept.find(wrapped);
      if (before !== undefined) {
        try {
          return use(before, false);
        } catch (error) {
          if (!(error instanceof Pkcs11Fault) || isWornOut(error)) throw error;
          // Perhaps only the handle is of no use any more: the HSM may let go of session objects.
          kept.drop(wrapped);
        }
      }
      const key = open(session, wrapped);
      kept.keep(wrapped, session, key);
      return use(key, true);
    },
    closeKeys: () => kept?.clear(),
    attempt(item) {
      try {
        if (isTainted(held)) renew();
        return succeeded(once(item));
      } catch (error) {
        if (!isWornOut(error)) return failureOf(error);
      }
      try {
        renew();
        return succeeded(once(item));
      } catch (error) {
        return failureOf(error);
      }
    },
    close() {
      held.current.close();
      kept?.lost();
    },
  };
}

/** 02‖x or 03‖x of 04‖x‖y (SEC 1 section 2.3.3). */
function compressed(uncompressedHex: string): string {
  return publicKeyHex('P-256', Buffer.from(uncompressedHex, 'hex'));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function closeQuietly(cryptoki: Cryptoki, session: Handle): void {
  try {
    cryptoki.closeSession(session);
  } catch {
    // The error that brought us here says more.
  }
}
