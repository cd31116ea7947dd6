import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import type { LeaseCall, LeasedRequest, OutcomesAnswer, OutcomesCall } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { createCapacity } from './capacity.ts';
import { cancelUndelivered, endInstance, endLeases, expireRequests } from './expiry.ts';
import { createHintSender, listenForHints } from './hints.ts';
import { createHolds } from './holds.ts';
import { type DriverNode, renew, take } from './lease.ts';
import { complete } from './outcomes.ts';
import { createPresence } from './presence.ts';
import type { RequestQueue, RequestRow } from './request.ts';
import { type RequestRecord, requestColumns, requestRow } from './request-row.ts';
import { createSubmitter } from './submit.ts';
import { createWaitingDrivers, waitForWork } from './waiting-drivers.ts';

/** A process that just started, or lost its database, must not take its own absence for that of the instances. */
const settleMs = 3_000;

/** A submitted request is watched this long until its caller holds it: its end may come before the caller asks. */
const submitToHoldMs = 1_000;

/** The queue as the driver's routes see it. */
export interface DriverQueue {
  /**
   * Renews, takes back, and gives work; held open up to `waitMs` when there is none.
   * @param gone fires when the caller's connection ends: the call is then no longer in flight.
   */
  lease(node: DriverNode, call: LeaseCall, gone: AbortSignal): Promise<readonly LeasedRequest[]>;
  outcomes(node: DriverNode, call: OutcomesCall): Promise<OutcomesAnswer>;
  release(node: DriverNode, instance: string): Promise<void>;
  /** Answers every waiting lease call with nothing, now and from now on: this process stops. */
  dismissDrivers(): void;
}

export interface QueueOptions {
  /** Commits that may be lost in a crash: inserts, leases, presence. */
  readonly relaxed: pg.Pool;
  /** Commits that are told to somebody: outcomes. */
  readonly durable: pg.Pool;
  /** For LISTEN: a connection of its own, past any pooler. */
  readonly listen: pg.ClientConfig;
  readonly signTtlMs: number;
  /** Attestation public keys by key store. */
  readonly pinned: ReadonlyMap<string, KeyObject>;
  readonly log: Log;
}

export async function startQueue(options: QueueOptions): Promise<RequestQueue & DriverQueue & { stop(): Promise<void> }> {
  const { relaxed, durable, log } = options;
  let databaseLost = false;
  let mayEndLeasesAt = performance.now() + settleMs;

  /** Everything that runs by itself reports here: one line when the database goes, one when it is back. */
  const failed = (error: unknown): void => {
    mayEndLeasesAt = performance.now() + settleMs;
    if (!isUnreachable(error)) log.error({ error: String(error) }, 'queue work failed');
    else if (!databaseLost) {
      databaseLost = true;
      log.error({ error: String(error) }, 'database lost; requests are refused until it is back');
    }
  };

  const hints = createHintSender(relaxed);
  const holds = createHolds();
  const capacity = createCapacity(relaxed);
  const presence = createPresence(relaxed, failed);
  const drivers = createWaitingDrivers(() => hints.work(), failed);
  const submitter = createSubmitter(relaxed, options.signTtlMs, (ids) => drivers.work(ids));
  const calls = new Map<string, { readonly superseded: AbortController; readonly done: Promise<unknown> }>();

  const finished = (records: readonly RequestRecord[]): void => {
    const elsewhere: string[] = [];
    for (const record of records) {
      if (holds.has(record.id)) holds.settle(requestRow(record));
      else elsewhere.push(record.id);
    }
    if (elsewhere.length > 0) hints.done(elsewhere);
  };

  const readHeld = async (ids: readonly string[]): Promise<Set<string>> => {
    const ours = ids.filter((id) => holds.has(id));
    if (ours.length === 0) return new Set();
    const { rows } = await relaxed.query<RequestRecord>(`select ${requestColumns} from request where id = any($1)`, [ours]);
    for (const row of rows) holds.settle(requestRow(row));
    return new Set(rows.map((row) => row.id));
  };

  /** Rows that a database crash swallowed are inserted again, under the same ids. */
  const readAndRestore = async (): Promise<void> => {
    const present = await readHeld(holds.ids());
    for (const request of holds.swallowed(present)) await submitter.submit(request);
  };

  const everySecond = async (): Promise<void> => {
    await capacity.refresh();
    if (performance.now() >= mayEndLeasesAt) {
      const ended = await endLeases(durable);
      finished(ended.failed);
      if (ended.requeued > 0) {
        log.warn({ requests: ended.requeued }, 'leases ended without an outcome');
        hints.work();
      }
    }
    finished(await expireRequests(durable));
    await readAndRestore();
    if (databaseLost) {
      databaseLost = false;
      log.info('database is back');
    }
    drivers.work();
  };

  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const schedule = (): void => {
    if (stopped) return;
    timer = setTimeout(() => void everySecond().catch(failed).finally(schedule), 800 + Math.random() * 400);
  };
  await capacity.refresh();
  schedule();

  const listener = listenForHints(
    options.listen,
    {
      work: () => drivers.work(),
      done: (ids) => void readHeld(ids).catch(failed),
      reconnected: () => {
        drivers.work();
        void readAndRestore().catch(failed);
      },
    },
    log,
  );

  return {
    requireCapacity: capacity.require,

    async submit(request) {
      holds.enter(request.id, request);
      try {
        const submitted = await submitter.submit(request);
        holds.committed(request.id);
        if (!submitted.fresh) holds.leave(request.id);
        else setTimeout(() => holds.leave(request.id), submitToHoldMs).unref();
        return submitted;
      } catch (error) {
        holds.leave(request.id);
        throw error;
      }
    },

    async hold(id, holdMs) {
      const submittedHere = holds.has(id);
      holds.enter(id);
      try {
        if (!submittedHere) await readHeld([id]);
        return (await holds.wait(id, holdMs)) ?? (await readRequest(relaxed, id));
      } finally {
        holds.leave(id);
      }
    },

    async cancel(id) {
      const cancelled = await cancelUndelivered(durable, id);
      return cancelled === undefined ? await readRequest(relaxed, id) : requestRow(cancelled);
    },

    async find(organisation, id) {
      const { rows } = await relaxed.query<RequestRecord>(`select ${requestColumns} from request where id = $1 and organisation = $2`, [
        id,
        organisation,
      ]);
      return rows[0] === undefined ? undefined : requestRow(rows[0]);
    },

    async lease(node, call, gone) {
      // One call at a time per instance. A newer one means that the answer to the older one is lost: what that one
      // still takes must be the instance's before the newer one says what it holds.
      const older = calls.get(call.instance);
      older?.superseded.abort();
      const superseded = new AbortController();
      const answer = (async () => {
        await older?.done.catch(() => {});
        const returned = await renew(relaxed, node, call);
        capacity.note(node.keyStore, call.capabilities);
        if (returned > 0) {
          drivers.work();
          hints.work();
        }
        if (call.max === 0) return [];
        return await waitForWork(drivers, AbortSignal.any([gone, superseded.signal]), call.waitMs, () => take(relaxed, node, call));
      })();
      calls.set(call.instance, { superseded, done: answer });
      presence.enter(call.instance);
      try {
        return await answer;
      } finally {
        presence.leave(call.instance);
        if (calls.get(call.instance)?.superseded === superseded) calls.delete(call.instance);
      }
    },

    async outcomes(node, call) {
      const { acknowledgements, finished: rows, requeued } = await complete(durable, options.pinned, node, call);
      finished(rows);
      if (requeued > 0) {
        drivers.work();
        hints.work();
      }
      for (const { id, acknowledgement } of acknowledgements) {
        if (acknowledgement === 'conflict') log.error({ requestId: id, node: node.name }, 'outcome refused: it contradicts what is known');
      }
      return { outcomes: acknowledgements };
    },

    async release(node, instance) {
      if (!(await endInstance(relaxed, node.name, instance))) return;
      const ended = await endLeases(durable, instance);
      finished(ended.failed);
      log.info({ node: node.name, instance, requests: ended.requeued }, 'instance released');
      drivers.work();
      hints.work();
    },

    dismissDrivers() {
      drivers.dismiss();
    },

    async stop() {
      stopped = true;
      clearTimeout(timer);
      presence.stop();
      hints.stop();
      await listener.stop();
    },
  };
}

async function readRequest(pool: pg.Pool, id: string): Promise<RequestRow> {
  const { rows } = await pool.query<RequestRecord>(`select ${requestColumns} from request where id = $1`, [id]);
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `request ${id}`);
  return requestRow(rows[0]);
}
