import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import type { Log } from '../../shared/log.ts';
import type { Capacity } from './capacity.ts';
import { expireRequests } from './expiry.ts';
import type { HeldRows } from './held-rows.ts';
import type { HintSender } from './hints.ts';
import type { EndLeasesAndTell } from './lease-ends.ts';
import type { OpenRequests } from './open-requests.ts';
import type { RestingKeys } from './resting-keys.ts';
import type { WaitingDrivers } from './waiting-drivers.ts';

/** A process that just started, or lost its database, must not take its own absence for that of the instances. */
export const settleMs = 3_000;
/** From one reading to the next on average, in milliseconds. */
const readMs = 1_000;
/**
 * From one look for ended leases to the next. What a node held that is cut off without a word waits for this, for its
 * presence (lease.ts) and for the call that it had open while it held something (the worker's poller.ts): together
 * less than the three seconds that a request may wait for another node.
 */
const leasesMs = 500;

/** Whether this process has its database: one line when it goes, one when it is back. */
export function createDatabaseWatch(log: Log, now: () => number = () => performance.now()) {
  let lost = false;
  let settledAt = now() + settleMs;
  return {
    /** Everything that works by itself reports its failures here. */
    failed(error: unknown): void {
      if (!isUnreachable(error)) {
        settledAt = Math.max(settledAt, now() + settleMs);
        log.error({ error: String(error) }, 'queue work failed');
        return;
      }
      // Until it answers: what fails in a black hole says so seconds apart, and the last time says nothing of its end.
      settledAt = Number.POSITIVE_INFINITY;
      if (!lost) {
        lost = true;
        log.error({ error: String(error) }, 'database lost; requests are refused until it is back');
      }
    },
    answered(): void {
      if (lost) log.info('database is back');
      lost = false;
      if (settledAt === Number.POSITIVE_INFINITY) settledAt = now() + settleMs;
    },
    /** May leases be ended for absence? */
    settled(): boolean {
      return now() >= settledAt;
    },
  };
}
export type DatabaseWatch = ReturnType<typeof createDatabaseWatch>;

export interface UpkeepParts {
  readonly durable: pg.Pool;
  readonly capacity: Capacity;
  readonly openRequests: OpenRequests;
  readonly restingKeys: RestingKeys;
  readonly endLeases: EndLeasesAndTell;
  readonly drivers: WaitingDrivers;
  readonly hints: HintSender;
  readonly heldRows: HeldRows;
  readonly watch: DatabaseWatch;
  readonly log: Log;
}

/**
 * What every API process does by itself: the table is the truth, and whatever a hint did not say is read here. Leases
 * that ended are looked for apart from the rest, and more often: callers wait for what a dead node held.
 */
export function startUpkeep({
  durable,
  capacity,
  openRequests,
  restingKeys,
  endLeases,
  drivers,
  hints,
  heldRows,
  watch,
  log,
}: UpkeepParts) {
  const timers = new Map<() => Promise<void>, NodeJS.Timeout>();
  let stopped = false;

  const endThoseOver = async (): Promise<void> => {
    if (!watch.settled()) return;
    const requests = await endLeases();
    if (requests === 0) return;
    log.warn({ requests }, 'leases ended without an outcome');
    drivers.work();
    hints.work();
  };
  const readAll = async (): Promise<void> => {
    await capacity.refresh();
    await openRequests.refresh();
    heldRows.finished(await restingKeys.refresh());
    heldRows.finished(await expireRequests(durable));
    await heldRows.readAndRestore();
    watch.answered();
    drivers.work();
  };
  const repeat = (work: () => Promise<void>, averageMs: number): void => {
    if (stopped) return;
    const again = (): void =>
      void work()
        .catch(watch.failed)
        .finally(() => repeat(work, averageMs));
    timers.set(work, setTimeout(again, averageMs * jitter()));
  };
  repeat(endThoseOver, leasesMs);
  repeat(readAll, readMs);

  return {
    stop(): void {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}

/** Not all processes at once. */
function jitter(): number {
  return 0.8 + Math.random() * 0.4;
}
