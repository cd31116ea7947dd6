import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import type { Log } from '../../shared/log.ts';
import type { Capacity } from './capacity.ts';
import { endLeases, expireRequests } from './expiry.ts';
import type { HeldRows } from './held-rows.ts';
import type { HintSender } from './hints.ts';
import type { OpenRequests } from './open-requests.ts';
import type { WaitingDrivers } from './waiting-drivers.ts';

/** A process that just started, or lost its database, must not take its own absence for that of the instances. */
const settleMs = 3_000;
/** Each second, and not all processes at once. */
const [shortestPauseMs, longestPauseMs] = [800, 1_200];

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
  readonly drivers: WaitingDrivers;
  readonly hints: HintSender;
  readonly heldRows: HeldRows;
  readonly watch: DatabaseWatch;
  readonly log: Log;
}

/** What every API process does each second: the table is the truth, and whatever a hint did not say is read here. */
export function startUpkeep({ durable, capacity, openRequests, drivers, hints, heldRows, watch, log }: UpkeepParts) {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const once = async (): Promise<void> => {
    await capacity.refresh();
    await openRequests.refresh();
    if (watch.settled()) {
      const ended = await endLeases(durable);
      heldRows.finished(ended.failed);
      if (ended.requeued > 0) {
        log.warn({ requests: ended.requeued }, 'leases ended without an outcome');
        hints.work();
      }
    }
    heldRows.finished(await expireRequests(durable));
    await heldRows.readAndRestore();
    watch.answered();
    drivers.work();
  };
  const schedule = (): void => {
    if (stopped) return;
    const pauseMs = shortestPauseMs + Math.random() * (longestPauseMs - shortestPauseMs);
    timer = setTimeout(() => void once().catch(watch.failed).finally(schedule), pauseMs);
  };
  schedule();

  return {
    stop(): void {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
