import type { Log } from '../shared/log.ts';
import type { WorkerState } from '../shared/worker-state.ts';

/**
 * The state of the worker's slot. Only `ready` takes work; in every other state lease calls ask for nothing.
 *
 *   starting   the process runs; configuration, database; waits for its turn on the token   → probing, stopping
 *   probing    logged in; proves the master key and what the HSM can do                     → ready, stopping
 *   ready      polls and works                                                              → suspect, stopping
 *   suspect    a call failed in a way that may be the device's: nothing new enters the HSM
 *              until a real wrap, unwrap, sign and verify has answered                      → ready, stopping
 *   stopping   asked to end, or a fault: finishes, reports, gives back. Nothing leaves it.
 */
const next = {
  starting: ['probing', 'stopping'],
  probing: ['ready', 'stopping'],
  ready: ['suspect', 'stopping'],
  suspect: ['ready', 'stopping'],
  stopping: [],
} as const satisfies Record<WorkerState, readonly WorkerState[]>;

export interface SlotState {
  readonly now: WorkerState;
  /** The only way to change it. Once stopping, later changes (a probe that answers late) are ignored. */
  to(state: WorkerState): void;
  onChange(listener: (state: WorkerState, before: WorkerState) => void): void;
}

export function createSlotState(log: Log): SlotState {
  let now: WorkerState = 'starting';
  const listeners: ((state: WorkerState, before: WorkerState) => void)[] = [];
  return {
    get now() {
      return now;
    },
    to(state) {
      if (state === now || now === 'stopping') return;
      const allowed: readonly WorkerState[] = next[now];
      if (!allowed.includes(state)) throw new Error(`a slot never goes from ${now} to ${state}`);
      const before = now;
      now = state;
      log.debug({ state, before }, 'slot state changed');
      for (const listener of listeners) listener(state, before);
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}
