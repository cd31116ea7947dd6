import type { ErrorCode } from './errors.ts';

/**
 * The messages between a primary and its workers (node:cluster IPC). Small and few: signing data never passes here.
 */

/** The states of a slot as its worker reports them; the primary adds what it sees from outside. */
export const workerStates = ['starting', 'probing', 'ready', 'suspect', 'stopping'] as const;
export type WorkerState = (typeof workerStates)[number];

export type ToPrimary =
  /** Sent once: the worker's code runs and it listens. `instance` is what the primary releases when it is gone. */
  | { readonly type: 'started'; readonly instance: string }
  /** Ask for the start-up turn of this token: from C_Initialize to the end of C_Login one process at a time. */
  | { readonly type: 'turn-wanted' }
  | { readonly type: 'turn-done' }
  | { readonly type: 'state'; readonly state: WorkerState }
  /** The error the worker is about to end with; the exit code alone cannot name the thing. */
  | { readonly type: 'fault'; readonly code: ErrorCode; readonly message: string };

export type ToWorker = { readonly type: 'turn-granted' } | { readonly type: 'stop' };

/** How a primary tells a forked worker who it is; secrets never travel this way. */
export const workerEnvironment = { configFile: 'HSM_DRIVER_CONFIG', slot: 'HSM_DRIVER_SLOT' } as const;
