import { randomBytes } from 'node:crypto';
import { type CeremonyFile, wrapMechanismOn } from '../../shared/ceremony-file.ts';
import { readSecretFile } from '../../shared/configuration/secret-file.ts';
import type { SlotConfiguration } from '../../shared/configuration/sections.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Curve } from '../../shared/keys.ts';
import { failureOf, isWornOut, mayBlameBlob, succeeded } from './failure.ts';
import type { HsmResult } from './jobs.ts';
import { guardedLogin, type LoginGuard } from './login-guard.ts';
import type { Cryptoki, Handle } from './module.ts';
import { createSession, type Session } from './session.ts';
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
  readonly ceremony: CeremonyFile;
  readonly session: Session;
  /** CKM_ECDSA by the attestation key, r‖s, verified. @param digest 32 bytes. */
  attest(digest: Buffer): Buffer;
  /** The start-up blob, once there is one. */
  arm(startUpBlob: StartUpBlob): void;
  /** Unwraps, signs, verifies with the start-up blob. @throws HSM_DEVICE_FAULT, or what a new session may mend. */
  proveHealthy(): void;
  /**
   * Lends the key in a blob, and finds out whether a failure to open it is the blob's fault.
   * @param named for the error, e.g. `key key-abc…`.
   * @throws KEY_UNUSABLE when the blob fails twice and the start-up blob opens and signs in between.
   */
  withUnwrapped<Value>(named: string, curve: Curve, blob: Buffer, use: (key: Handle) => Value): Value;
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

export interface WorkbenchOptions {
  readonly slot: SlotConfiguration;
  readonly ceremony: CeremonyFile;
  readonly guard: LoginGuard;
}

/** Initialises the library where no other thread has, selects the token, logs in, finds the keys. In the start-up turn. */
export function openWorkbench(cryptoki: Cryptoki, { slot, ceremony, guard }: WorkbenchOptions): Workbench {
  cryptoki.initialize();
  const token = selectToken(cryptoki, { label: slot.tokenLabel, serial: slot.tokenSerial });
  let countLow = false;
  let attestationKey: Handle | undefined;
  let startUp: StartUpBlob | undefined;
  let session = newSession();

  function newSession(): Session {
    const handle = cryptoki.openSession(token.slot);
    try {
      // Read anew each time, so that no PIN stays in memory between logins.
      const pin = readSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
      const result = guardedLogin(guard, pin, (admitted) => login(cryptoki, handle, token, admitted));
      countLow ||= result.countLow;
    } catch (error) {
      closeQuietly(cryptoki, handle);
      throw error;
    }
    const created = createSession(cryptoki, token, handle, ceremony);
    created.useMechanism(startUp?.wrapMechanism ?? wrapMechanismOn(ceremony, token.info.serial));
    return created;
  }

  function renew(): void {
    session.close();
    attestationKey = undefined;
    session = newSession();
  }

  function proveHealthy(): void {
    if (startUp === undefined) throw new CodedError('HSM_DEVICE_FAULT', 'there is no start-up blob yet to tell by');
    const { curve, publicKey, blob } = startUp;
    try {
      session.withUnwrapped(curve, asBuffer(blob), (key) =>
        signVerified(session, curve, key, publicKey, randomBytes(32)),
      );
    } catch (error) {
      if (isWornOut(error)) throw error;
      throw new CodedError('HSM_DEVICE_FAULT', `the start-up blob fails too (${(error as Error).message})`, {
        cause: error,
      });
    }
  }

  /** A key that could not be destroyed, perhaps an extractable one, goes at once with its session. */
  function once<Value>(item: () => Value): Value {
    try {
      return item();
    } finally {
      if (session.tainted) session.close();
    }
  }

  return {
    token,
    slot,
    ceremony,
    get countLow() {
      return countLow;
    },
    get session() {
      return session;
    },
    attest(digest) {
      const { publicKey, blob } = ceremony.attestationKey;
      attestationKey ??= session.unwrap('P-256', Buffer.from(blob, 'base64'));
      return Buffer.from(signVerified(session, 'P-256', attestationKey, compressed(publicKey), digest).rs, 'hex');
    },
    arm(startUpBlob) {
      startUp = startUpBlob;
      session.useMechanism(startUpBlob.wrapMechanism);
    },
    proveHealthy,
    withUnwrapped(named, curve, blob, use) {
      let key: Handle;
      try {
        key = session.unwrap(curve, blob);
      } catch (first) {
        if (!mayBlameBlob(first)) throw first;
        proveHealthy();
        try {
          key = session.unwrap(curve, blob);
        } catch (second) {
          if (!mayBlameBlob(second)) throw second;
          throw new CodedError('KEY_UNUSABLE', `${named} (${(second as Error).message})`, { cause: second });
        }
      }
      try {
        return use(key);
      } finally {
        session.destroy(key);
      }
    },
    attempt(item) {
      try {
        if (session.tainted) renew();
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
    close: () => session.close(),
  };
}

/** 02‖x or 03‖x of 04‖x‖y (SEC 1 section 2.3.3). */
function compressed(uncompressedHex: string): string {
  const odd = (Number.parseInt(uncompressedHex.slice(-1), 16) & 1) === 1;
  return `${odd ? '03' : '02'}${uncompressedHex.slice(2, 66)}`;
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
