import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { type KnownRefusals, wasRefusedSince } from './refused-since.ts';

/**
 * Renewed logins of a node go one after another on everything that shares a PIN counter: an HSM that drops all sessions
 * makes all workers log in at the same moment, and each of them would spend a try on a PIN that is no longer right. A file
 * is the turn: session threads are synchronous, and ask nobody. It only keeps a second one from trying before the first
 * one's refusal is written down; what decides is that record, so a turn that is lost does no harm.
 */

/** A turn that does not change hands for so long has lost its holder. */
const turnLimitMs = 3_000;
const lookMs = 5;

/**
 * @param login synchronous. When it is refused the turn stays taken: endLoginTurn is for who has written that down.
 * @throws HSM_DEVICE_FAULT: no login was made, a new process has to ask; whatever `login` throws
 */
export function inLoginTurn<Value>(known: KnownRefusals, login: () => Value): Value {
  takeTurn(known);
  let refused = false;
  try {
    if (wasRefusedSince(known)) throw refusedMeanwhile();
    return login();
  } catch (error) {
    refused = error instanceof CodedError && error.code === 'PIN_REFUSED';
    throw error;
  } finally {
    if (!refused) endLoginTurn(known);
  }
}

export function endLoginTurn(known: KnownRefusals): void {
  rmSync(turnFile(known), { force: true });
}

function takeTurn(known: KnownRefusals): void {
  const file = turnFile(known);
  let holder = '';
  let sinceMs = performance.now();
  while (!isTaken(file)) {
    if (wasRefusedSince(known)) throw refusedMeanwhile();
    const now = holderOf(file);
    if (now !== holder) sinceMs = performance.now();
    holder = now;
    if (performance.now() - sinceMs > turnLimitMs) {
      endLoginTurn(known);
      throw new CodedError('HSM_DEVICE_FAULT', 'another login of this node did not end; a new process must ask for it');
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookMs);
  }
}

/** By this thread, now. */
function isTaken(file: string): boolean {
  try {
    writeFileSync(file, randomUUID(), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new CodedError('HSM_DEVICE_FAULT', 'state directory cannot be written; a new process must ask', {
      cause: error,
    });
  }
}

function holderOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function turnFile({ directory, guardGroup }: KnownRefusals): string {
  return join(directory, `login-${createHash('sha256').update(guardGroup).digest('hex').slice(0, 32)}`);
}

function refusedMeanwhile(): CodedError {
  return new CodedError('HSM_DEVICE_FAULT', 'this node was refused the PIN meanwhile; a new process must ask for it');
}
