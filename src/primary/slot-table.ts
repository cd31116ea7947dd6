import type { ErrorCode } from '../shared/errors.ts';
import type { ExitName } from '../shared/exit-codes.ts';
import type { SlotFacts, WorkerReport } from '../shared/worker-report.ts';
import type { Overdue } from './watchdog.ts';

/**
 * The slots of a node as its primary sees them: what their workers say, and what can be seen from outside only.
 *
 *   starting    a worker process lives; configuration, database, its turn on the token, login
 *   probing     logged in; proves the master key and what the HSM can do
 *   ready       takes work
 *   suspect     nothing new enters the HSM until a real probe has answered
 *   recovering  the worker ends because of a fault, or has ended: the next one starts after its delay and its turn
 *   latched     no worker, and none before an operator acts: PIN refused, or a worker would end in the same way again
 *   stopping    its worker was asked to end: replaced, removed, or the node ends
 *
 *   starting ──▶ probing ──▶ ready ◀──▶ suspect
 *       ▲           │          │           │
 *       └─────── recovering ◀──┴───────────┘        latched: from every state, left to starting only
 *                                                   stopping: from every state, left to starting (a replacement)
 */
export type SlotState = keyof typeof next;

const next = {
  starting: ['probing', 'recovering', 'latched', 'stopping'],
  probing: ['ready', 'recovering', 'latched', 'stopping'],
  ready: ['suspect', 'recovering', 'latched', 'stopping'],
  suspect: ['ready', 'recovering', 'latched', 'stopping'],
  recovering: ['starting', 'latched', 'stopping'],
  latched: ['starting', 'stopping'],
  stopping: ['starting', 'recovering', 'latched'],
} as const;

export const slotStates = Object.keys(next) as readonly SlotState[];

/** Why a worker was replaced: what its end says, or what the primary did. */
export type RestartReason = ExitName | 'SIGNAL' | Overdue | 'RELOAD';

export interface SlotFault {
  readonly code: ErrorCode | Overdue | 'SIGNAL';
  readonly detail: string;
  readonly at: Date;
}

export interface SlotRecord {
  readonly state: SlotState;
  readonly since: Date;
  /** The same on the monotonic clock of this process: durations are measured on it. */
  readonly sinceMs: number;
  /** What brought it into this state; a fixed short sentence. */
  readonly why: string;
  readonly lastFault?: SlotFault;
  readonly restarts: Readonly<Partial<Record<RestartReason, number>>>;
  readonly everReady: boolean;
  /** Its workers end again and again: held back with the longest delay. */
  readonly crashLoop: boolean;
  /** Its worker has been ready for a while: what was before is history, and were it to end, the next one starts at once. */
  readonly steady: boolean;
  /** Of the worker that lives. */
  readonly worker?: { readonly pid: number | undefined; readonly instance?: string; readonly startedAt: Date };
  /** Its last one. */
  readonly report?: WorkerReport;
  /** What is known of the token; outlives the worker that found it out. */
  readonly facts?: SlotFacts;
  /** How the last worker of a latched slot had ended. */
  readonly latchedBy?: RestartReason;
}

export function mayGo(from: SlotState, to: SlotState): boolean {
  const allowed: readonly SlotState[] = next[from];
  return allowed.includes(to);
}

/** One slot's record and the only way to change its state. */
export interface SlotEntry {
  readonly now: SlotRecord;
  /** @returns false: nothing changed, since a slot never goes there from where it is (a late message). */
  to(state: SlotState, why: string): boolean;
  /** Everything but the state. */
  note(change: Partial<Omit<SlotRecord, 'state' | 'since' | 'sinceMs'>>): void;
  /** There is no worker any more, and what it reported is no longer so. */
  forgetWorker(): void;
  countRestart(reason: RestartReason): void;
}

export function createSlotEntry(onChange: (state: SlotState, before: SlotState) => void): SlotEntry {
  let now: SlotRecord = {
    state: 'recovering',
    since: new Date(),
    sinceMs: performance.now(),
    why: 'not started yet',
    restarts: {},
    everReady: false,
    crashLoop: false,
    steady: false,
  };
  return {
    get now() {
      return now;
    },
    to(state, why) {
      const before = now.state;
      if (!mayGo(before, state)) return false;
      const everReady = now.everReady || state === 'ready';
      now = { ...now, state, why, since: new Date(), sinceMs: performance.now(), everReady };
      onChange(state, before);
      return true;
    },
    note(change) {
      now = { ...now, ...change };
    },
    forgetWorker() {
      const { worker: _, report: __, ...rest } = now;
      now = { ...rest, steady: false };
    },
    countRestart(reason) {
      now = { ...now, restarts: { ...now.restarts, [reason]: (now.restarts[reason] ?? 0) + 1 } };
    },
  };
}
