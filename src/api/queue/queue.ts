import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import type { Log } from '../../shared/log.ts';
import { startHourly } from '../hourly.ts';
import { createApplicationSide } from './application-side.ts';
import { createCapacity } from './capacity.ts';
import { createDriverSide, type DriverQueue } from './driver-side.ts';
import { createHeldRows } from './held-rows.ts';
import { createHintSender, listenForHints } from './hints.ts';
import { createHolds } from './holds.ts';
import { createLeaseEnds } from './lease-ends.ts';
import { createOpenRequests } from './open-requests.ts';
import { createPresence } from './presence.ts';
import type { RequestQueue } from './request.ts';
import type { EndRecord } from './request-row.ts';
import { createRestingKeys } from './resting-keys.ts';
import { createSubmitter } from './submit.ts';
import { trimRequests } from './trim-requests.ts';
import { createDatabaseWatch, startUpkeep } from './upkeep.ts';
import { createWaitingDrivers } from './waiting-drivers.ts';

export interface QueueOptions {
  /** Commits that may be lost in a crash: inserts, leases, presence. */
  readonly relaxed: pg.Pool;
  /** Commits that are told to somebody: outcomes. */
  readonly durable: pg.Pool;
  /** For LISTEN: a connection of its own, past any pooler. */
  readonly listen: pg.ClientConfig;
  readonly signTtlMs: number;
  readonly holdMs: number;
  readonly limits: ApiConfiguration['queue'];
  /** Attestation public keys by key store. */
  readonly pinned: ReadonlyMap<string, KeyObject>;
  /** Told of the rows that this process makes final. */
  readonly onFinished?: (records: readonly EndRecord[]) => void;
  readonly log: Log;
}

export interface Queue {
  readonly application: RequestQueue;
  readonly driver: DriverQueue;
  stop(): Promise<void>;
}

/**
 * The request queue of one API process. The table is the truth and any number of processes share it; what is in memory
 * here is who waits: lease calls for work (waiting-drivers.ts), callers for results (holds.ts).
 */
export async function startQueue(options: QueueOptions): Promise<Queue> {
  const { relaxed, durable, listen, signTtlMs, holdMs, limits, pinned, onFinished, log } = options;
  const watch = createDatabaseWatch(log);
  const hints = createHintSender(relaxed);
  const capacity = createCapacity(relaxed, holdMs);
  const drivers = createWaitingDrivers(() => hints.work(), watch.failed);
  const openRequests = createOpenRequests(relaxed, limits);
  const restingKeys = createRestingKeys(durable, log);
  const holds = createHolds(({ requester }) => openRequests.close(requester.organisation));
  const submitter = createSubmitter(relaxed, { signTtlMs, crowd: () => holds.open }, drivers);
  const heldRows = createHeldRows({
    pool: relaxed,
    holds,
    hints,
    submitter,
    openRequests,
    ...(onFinished && { onFinished }),
    failed: watch.failed,
  });

  const endLeases = createLeaseEnds({ durable, restingKeys, heldRows });

  await capacity.refresh();
  heldRows.finished(await restingKeys.refresh());
  const presence = createPresence(relaxed, watch.failed);
  const upkeep = startUpkeep({
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
  });
  const trimming = startHourly({
    what: 'requests',
    work: (signal) => trimRequests(durable, limits.rememberDays, signal),
    log,
  });
  const listener = listenForHints(
    listen,
    {
      work: () => drivers.work(),
      done: (ids) => void heldRows.read(ids).catch(watch.failed),
      reconnected: () => {
        drivers.work();
        void heldRows.readAndRestore().catch(watch.failed);
      },
    },
    log,
  );

  return {
    application: createApplicationSide({
      relaxed,
      durable,
      capacity,
      restingKeys,
      openRequests,
      submitter,
      holds,
      heldRows,
    }),
    driver: createDriverSide({
      relaxed,
      durable,
      capacity,
      presence,
      drivers,
      hints,
      heldRows,
      endLeases,
      pinned,
      log,
    }),
    async stop() {
      upkeep.stop();
      trimming.stop();
      presence.stop();
      hints.stop();
      await listener.stop();
    },
  };
}
