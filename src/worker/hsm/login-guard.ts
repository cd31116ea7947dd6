import { CodedError } from '../../shared/errors.ts';

/**
 * Keeps all threads of a worker from trying a refused PIN: logins happen one at a time, and after one refusal none is
 * tried again by this process. A worker whose sessions all die at once would otherwise spend a PIN counter in one go.
 */
const free = 0;
const busy = 1;
const refused = 2;

/** Shared between the threads of one worker; one cell. */
export type LoginGuard = Int32Array<SharedArrayBuffer>;

export function createLoginGuard(): LoginGuard {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}

/**
 * @param attempt one C_Login. When it hangs, the others wait here, and the watchdog ends the process.
 * @throws PIN_REFUSED without an attempt, once one was refused.
 */
export function guardedLogin<Value>(guard: LoginGuard, attempt: () => Value): Value {
  for (;;) {
    const before = Atomics.compareExchange(guard, 0, free, busy);
    if (before === refused) {
      throw new CodedError('PIN_REFUSED', 'this process was refused before; no login was tried');
    }
    if (before === free) break;
    Atomics.wait(guard, 0, busy);
  }
  let after = free;
  try {
    return attempt();
  } catch (error) {
    if (error instanceof CodedError && error.code === 'PIN_REFUSED') after = refused;
    throw error;
  } finally {
    Atomics.store(guard, 0, after);
    Atomics.notify(guard, 0);
  }
}
