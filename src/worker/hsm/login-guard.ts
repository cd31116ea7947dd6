import { createHmac, randomFillSync, timingSafeEqual } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import { Pkcs11Fault } from './fault.ts';
import type { TokenInfo } from './module.ts';

/**
 * Keeps the threads of a worker from trying a PIN that is not known to be good. The first login of a process is let
 * through by the cluster's record (FirstLogin); from then on this process may log in with the same PIN again, one thread
 * at a time, until one login is refused. A worker whose sessions all die at once would otherwise spend a PIN counter in
 * one go; and a PIN file that was replaced meanwhile is for a new process to prove.
 */
export interface LoginGuard {
  /** Lock, outcome; shared between the threads of one worker. */
  readonly cells: Int32Array<SharedArrayBuffer>;
  /** A random key of this process, and the admitted PIN's HMAC under it; zeros before. */
  readonly admitted: Uint8Array<SharedArrayBuffer>;
}

/** What the process's logins so far say about the PIN. `uncertain`: C_Login was called and answered something else. */
export const loginOutcomes = ['none', 'succeeded', 'refused', 'uncertain', 'already logged in'] as const;
export type LoginOutcome = (typeof loginOutcomes)[number];

/** `already`: the token says that this process is logged in, which proves nothing about this PIN. */
export interface LoginResult {
  readonly countLow: boolean;
  readonly already: boolean;
}

/**
 * Runs `login`, the process's first, when this PIN may be tried on this token now, and keeps its outcome.
 * @param pin only read; cleared by the caller.
 * @throws PIN_REFUSED, PIN_NOT_TRIED; whatever `login` throws
 */
export type FirstLogin = <Value>(
  token: TokenInfo,
  pin: Buffer,
  login: () => Promise<Value>,
  outcome: () => LoginOutcome,
) => Promise<Value>;

const lock = 0;
const outcomeCell = 1;
const free = 0;
const busy = 1;
const refused = 2;
const keyBytes = 32;

export function createLoginGuard(): LoginGuard {
  return {
    cells: new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)),
    admitted: new Uint8Array(new SharedArrayBuffer(2 * keyBytes)),
  };
}

/** From now on threads may log in with this PIN, and with no other. */
export function admitLogin({ admitted }: LoginGuard, pin: Buffer): void {
  const key = randomFillSync(Buffer.alloc(keyBytes));
  admitted.set(key);
  admitted.set(mac(key, pin), keyBytes);
}

export function loginOutcome({ cells }: LoginGuard): LoginOutcome {
  return loginOutcomes[Atomics.load(cells, outcomeCell)] ?? 'none';
}

/**
 * @param pin cleared before this returns.
 * @param attempt one C_Login. When it hangs, the others wait here, and the watchdog ends the process.
 * @throws PIN_REFUSED without an attempt, once one was refused; HSM_DEVICE_FAULT for a PIN that was not admitted: a new
 *   process will ask for it.
 */
export function guardedLogin(guard: LoginGuard, pin: Buffer, attempt: (pin: Buffer) => LoginResult): LoginResult {
  const { cells } = guard;
  for (;;) {
    const before = Atomics.compareExchange(cells, lock, free, busy);
    if (before === refused) {
      pin.fill(0);
      throw new CodedError('PIN_REFUSED', 'this process was refused before; no login was tried');
    }
    if (before === free) break;
    Atomics.wait(cells, lock, busy);
  }
  let after = free;
  try {
    if (!isAdmitted(guard, pin)) {
      throw new CodedError('HSM_DEVICE_FAULT', 'the PIN file was replaced; a new process must prove the new PIN');
    }
    // Logged in by somebody else from the start: this PIN is not ours to try, and not needed.
    if (loginOutcome(guard) === 'already logged in') return { countLow: false, already: true };
    const result = attempt(pin);
    if (!result.already) note(guard, 'succeeded');
    else if (loginOutcome(guard) === 'none') note(guard, 'already logged in');
    return result;
  } catch (error) {
    if (error instanceof CodedError && (error.code === 'PIN_REFUSED' || error.code === 'PIN_NOT_TRIED'))
      after = refused;
    if (error instanceof CodedError && error.code === 'PIN_REFUSED') note(guard, 'refused');
    if (error instanceof Pkcs11Fault && error.pkcs11Function === 'C_Login') note(guard, 'uncertain');
    throw error;
  } finally {
    pin.fill(0);
    Atomics.store(cells, lock, after);
    Atomics.notify(cells, lock);
  }
}

function note({ cells }: LoginGuard, outcome: LoginOutcome): void {
  Atomics.store(cells, outcomeCell, loginOutcomes.indexOf(outcome));
}

function isAdmitted({ admitted }: LoginGuard, pin: Buffer): boolean {
  const copy = Buffer.from(admitted);
  const key = copy.subarray(0, keyBytes);
  return !key.equals(Buffer.alloc(keyBytes)) && timingSafeEqual(mac(key, pin), copy.subarray(keyBytes));
}

function mac(key: Buffer, pin: Buffer): Buffer {
  return createHmac('sha256', key).update(pin).digest();
}
