import type { ErrorCode } from './errors.ts';
import type { HsmWork, HsmWorkAnswer } from './hsm-work.ts';
import type { WorkerReport } from './worker-report.ts';
import type { WorkerState } from './worker-state.ts';

/**
 * The messages between a primary and its workers (node:cluster IPC). Small and few: signing data never passes here.
 */

export type ToPrimary =
  /** Sent once: the worker's code runs and it listens. `instance` is what the primary releases when it is gone. */
  | { readonly type: 'started'; readonly instance: string }
  /** Ask for the start-up turn of this token: from C_Initialize to the end of C_Login one process at a time. */
  | { readonly type: 'turn-wanted' }
  | { readonly type: 'turn-done' }
  | { readonly type: 'state'; readonly state: WorkerState }
  /** Four times a second. A main thread that is stuck sends none; a native call that is stuck shows in `oldestCallMs`. */
  | { readonly type: 'heartbeat'; readonly oldestCallMs: number }
  /** Once a second. */
  | { readonly type: 'report'; readonly report: WorkerReport }
  /** The breaker opened on a device fault: siblings on the same token should look before they fail themselves. */
  | { readonly type: 'device-fault'; readonly code: ErrorCode; readonly message: string }
  /** To `hsm-work` of the same number. */
  | { readonly type: 'hsm-work-answer'; readonly id: number; readonly answer: HsmWorkAnswer }
  /** The error the worker is about to end with; the exit code alone cannot name the thing. */
  | { readonly type: 'fault'; readonly code: ErrorCode; readonly message: string };

export type ToWorker =
  | { readonly type: 'turn-granted' }
  | { readonly type: 'stop' }
  /** A sibling on the same token met a device fault: probe before the next call. */
  | { readonly type: 'device-suspect' }
  /** Maintenance that needs the HSM. Answered in any case, unless the worker ends. */
  | { readonly type: 'hsm-work'; readonly id: number; readonly work: HsmWork };

/**
 * How a primary tells a forked worker who it is; secrets never travel this way. `configuration` is JSON, as the primary
 * checked it: the file may have become invalid since, and then the old one stays in force for a replaced worker too.
 */
export const workerEnvironment = { configuration: 'HSM_DRIVER_CONFIGURATION', slot: 'HSM_DRIVER_SLOT' } as const;
