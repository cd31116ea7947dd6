import { type ExitName, exitCodes } from '../shared/exit-codes.ts';

/**
 * When a worker that ended is started again: a pure function of how workers of this slot ended. The supervisor only
 * obeys.
 */
export interface WorkerExit {
  /** What the exit code or the worker's last word says; SIGNAL: killed, by us, by the kernel, or by its own crash. */
  readonly reason: ExitName | 'SIGNAL';
  /** How long it had been ready; 0 for one that never was. */
  readonly readyMs: number;
}

export type Decision =
  | { readonly do: 'restart'; readonly afterMs: number }
  /** Never again without an operator, and the primary must stay: whoever restarts it would try the PIN again. */
  | { readonly do: 'latch' }
  /** A new process would end in the same way. */
  | { readonly do: 'stop' };

/** After this long in `ready` an earlier fault is history. */
export const steadyMs = 5_000;

/** Waiting times double from `first` to `longest`; `atOnce`: the first restart after steady work does not wait. */
interface Delay {
  readonly firstMs: number;
  readonly longestMs: number;
  readonly atOnce?: true;
}
const usual: Delay = { firstMs: 250, longestMs: 10_000 };
const delays: Partial<Record<WorkerExit['reason'], Delay>> = {
  SIGNAL: { firstMs: 500, longestMs: 10_000, atOnce: true },
  DEVICE: { firstMs: 500, longestMs: 10_000, atOnce: true },
  DATABASE: { firstMs: 250, longestMs: 5_000 },
  SCHEMA: { firstMs: 1_000, longestMs: 5_000 },
  TOKEN: { firstMs: 1_000, longestMs: 5_000 },
  MASTER_KEY: { firstMs: 1_000, longestMs: 5_000 },
};

/**
 * Faults in files that people write while a node runs: half of a renewal ends a worker that starts meanwhile. None of its
 * kind has tried a PIN.
 */
const halfWritten: readonly WorkerExit['reason'][] = ['CONFIGURATION', 'SECRET_FILE'];

/** What is known of a slot beside its exits. */
export interface SlotHistory {
  /** The slot is in a crash loop: the longest delay of its kind, whatever the count says. */
  readonly heldBack?: boolean;
  /** It was ready since the node started: the installation is sound but for what was written since. */
  readonly everReady?: boolean;
}

/**
 * @param exits of one slot, newest last, at least one.
 * @param random 0 to 1; spreads restarts, so that many workers do not come back as one.
 */
export function decide(
  exits: readonly WorkerExit[],
  random: number,
  { heldBack = false, everReady = false }: SlotHistory = {},
): Decision {
  const { reason } = exits.at(-1) as WorkerExit;
  if (reason === 'PIN') return { do: 'latch' };
  const { firstMs, longestMs, atOnce = false } = delays[reason] ?? usual;
  if (everReady && halfWritten.includes(reason)) return { do: 'restart', afterMs: longestMs };
  // A worker that ends as if it had been asked, when nobody asked, is wanted back.
  const mayRestart = reason === 'SIGNAL' || reason === 'OK' || exitCodes[reason].restart === 'back-off';
  if (!mayRestart) return { do: 'stop' };
  if (heldBack) return { do: 'restart', afterMs: longestMs };
  const failures = streak(exits) - (atOnce ? 1 : 0);
  if (failures === 0) return { do: 'restart', afterMs: 0 };
  const fullMs = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  return { do: 'restart', afterMs: Math.round(fullMs * (0.5 + random / 2)) };
}

/**
 * Whether a restart waits for its turn in the cluster, so that not all slots of a shared HSM reconnect at once. Never the
 * first restart after steady work, and never where the HSM was not to blame.
 */
export function wantsTurn(reason: WorkerExit['reason'], afterMs: number): boolean {
  return afterMs > 0 && ['SIGNAL', 'DEVICE', 'TOKEN', 'MASTER_KEY'].includes(reason);
}

/** Exits in a row without steady work between, the newest included. */
function streak(exits: readonly WorkerExit[]): number {
  let count = 1;
  for (let at = exits.length - 1; at > 0 && (exits[at] as WorkerExit).readyMs < steadyMs; at--) count++;
  return count;
}

/** How a slot stands, for the verdict on the node. */
export interface SlotStanding {
  /** `running`: a worker process lives. `waiting`: the next one starts later. The others: see Decision. */
  readonly phase: 'running' | 'waiting' | 'latched' | 'stopped';
  readonly lastReason?: WorkerExit['reason'];
  readonly everReady: boolean;
}

/** Faults of the installation: worth restarts once the slot had worked, a person's mistake before. */
const installation: readonly WorkerExit['reason'][] = ['TOKEN', 'MASTER_KEY'];

/**
 * Whether the node as a whole ends: no slot works, and none will before an operator mends something. Never while a
 * slot is latched by its PIN.
 */
export function hopeless(slots: readonly SlotStanding[]): boolean {
  if (slots.some((slot) => slot.phase === 'latched')) return false;
  const neverWorked = slots.every((slot) => !slot.everReady);
  return slots.every(
    ({ phase, lastReason }) =>
      phase === 'stopped' ||
      (phase === 'waiting' && neverWorked && lastReason !== undefined && installation.includes(lastReason)),
  );
}
