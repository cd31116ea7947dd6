import type { WorkerState } from '../shared/worker-state.ts';

/**
 * When a worker is killed because it hangs: policy, and the clock that applies it. A native call that never returns
 * cannot be ended from inside its process, so this is decided here and done with SIGKILL.
 *
 *   CALL_OVERDUE   a PKCS#11 call lasts longer than the slot's callDeadlineMs
 *   SILENT         the worker's main thread is stuck, or the process is stopped: no heartbeats
 *   START_OVERDUE  it had its turn on the token for too long: others on that token wait behind it
 */
export type Overdue = 'CALL_OVERDUE' | 'SILENT' | 'START_OVERDUE';

/** What the primary knows of a worker process. Times in ms of one monotonic clock. */
export interface WorkerSigns {
  readonly state: WorkerState;
  readonly startedAtMs: number;
  /** When it last sent a heartbeat; undefined: not yet. */
  readonly heardAtMs: number | undefined;
  /** Of that heartbeat. */
  readonly oldestCallMs: number;
  /** Since when it has its start-up turn on the token; undefined: it has none. */
  readonly turnSinceMs: number | undefined;
}

export interface WatchdogLimits {
  readonly callMs: number;
  readonly silentMs: number;
  /** While starting: a first C_Initialize may take long, and the start of threads blocks the main thread. */
  readonly startMs: number;
}

export const watchdogLimits = { silentMs: 2_000, startMs: 30_000 } as const;

export function overdue(signs: WorkerSigns, limits: WatchdogLimits, nowMs: number): Overdue | undefined {
  const { state, startedAtMs, heardAtMs, oldestCallMs, turnSinceMs } = signs;
  const starting = state === 'starting';
  if (turnSinceMs !== undefined && nowMs - turnSinceMs > limits.startMs) return 'START_OVERDUE';
  if (oldestCallMs > (starting ? limits.startMs : limits.callMs)) return 'CALL_OVERDUE';
  const silentMs = starting || heardAtMs === undefined ? limits.startMs : limits.silentMs;
  return nowMs - (heardAtMs ?? startedAtMs) > silentMs ? 'SILENT' : undefined;
}

const tickMs = 250;

/**
 * Calls `look` four times a second. When this process itself was stopped (SIGSTOP, a suspended machine, a blocked event
 * loop) all workers look silent at its next moment: then `forgive` is called instead, and they get their time anew.
 *
 * @returns how to end it.
 */
export function startWatchdog(watch: { look(nowMs: number): void; forgive(nowMs: number): void }): () => void {
  let due = performance.now() + tickMs;
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - due > watchdogLimits.silentMs / 4) watch.forgive(now);
    else watch.look(now);
    due = now + tickMs;
  }, tickMs);
  return () => clearInterval(timer);
}
