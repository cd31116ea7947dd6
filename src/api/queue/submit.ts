import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { isDeadlock, isUnreachable } from '../../shared/database/faults.ts';
import type { LeasedRequest } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import { handedOver } from './hand-over.ts';
import { freshRow, type InsertedRecord, insertRequests, type Place, stillHolding } from './insert-requests.ts';
import { BeliefOutdated, type NewRequest, type RequestRow } from './request.ts';
import { type RequestRecord, requestColumns, requestRow } from './request-row.ts';
import type { WaitingCall } from './waiting-call.ts';
import type { WaitingDrivers } from './waiting-drivers.ts';

/** How long an insert is tried again while the database does not answer, in milliseconds. */
const insertPatienceMs = 5_000;
const maxInsertBatch = 128;
/**
 * Between the beginnings of two inserts lies this much for each request that waits in this process, in milliseconds, and
 * no more than the longest: a small part of what these requests take anyway, and statements that carry more rows.
 */
const gapMsEach = 0.125;
const longestGapMs = 20;

export interface Submitted {
  readonly row: RequestRow;
  /** False: the row was there before this call. */
  readonly fresh: boolean;
}

export interface SubmitterOptions {
  readonly signTtlMs: number;
  /** How many requests wait in this process. */
  readonly crowd: () => number;
}

interface Pending {
  readonly request: NewRequest;
  readonly place: Place;
  readonly resolve: (submitted: Submitted) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Inserts requests, those that arrive while an insert is on its way together in the next one. The insert is the
 * uniqueness check (same id) and consumes the user action (unique column).
 *
 * Runs on the relaxed pool: a row that a database crash swallows is inserted again by the process that holds the
 * caller's POST (see holds.ts), and nobody was told anything yet.
 *
 * A driver that waits gets its requests with the insert: they are in the table as leased, and no query looks for them.
 */
export function createSubmitter(
  pool: pg.Pool,
  { signTtlMs, crowd }: SubmitterOptions,
  drivers: Pick<WaitingDrivers, 'ready' | 'claim' | 'handOver' | 'work'>,
) {
  let waiting: Pending[] = [];
  let running = false;
  let begunAt = Number.NEGATIVE_INFINITY;

  async function run(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      await gap();
      // Who comes back for work in a moment is worth waiting for: it gets the batch with the insert.
      await drivers.ready();
      begunAt = performance.now();
      const batch = waiting.slice(0, maxInsertBatch);
      waiting = waiting.slice(maxInsertBatch);
      await insertBatch(batch);
    }
    running = false;
  }

  async function gap(): Promise<void> {
    const restMs = begunAt + Math.min(longestGapMs, gapMsEach * crowd()) - performance.now();
    if (restMs >= 1) await delay(restMs);
  }

  async function insertBatch(batch: readonly Pending[]): Promise<void> {
    const deadline = performance.now() + insertPatienceMs;
    for (let lost = false; ; ) {
      try {
        await insertOnce(batch, lost);
        return;
      } catch (error) {
        // Callers that use their user actions twice, crosswise, must not fail the others of the batch.
        const again = isUnreachable(error) || isDeadlock(error);
        if (!again || performance.now() > deadline) {
          for (const pending of batch) pending.reject(error);
          return;
        }
        if (!isUnreachable(error)) continue;
        lost = true;
        await delay(250);
      }
    }
  }

  async function insertOnce(batch: readonly Pending[], retried: boolean): Promise<void> {
    const handOvers = drivers.claim(batch.map(({ request }) => request));
    const insertions = batch.map(({ request, place }, at) => ({ request, place, handOver: handOvers[at] }));
    const given = new Map<WaitingCall, LeasedRequest[]>();
    for (const handOver of handOvers) if (handOver !== undefined) given.set(handOver.call, []);
    const inserting = insertRequests(pool, insertions, signTtlMs);
    for (const call of given.keys()) call.expect(inserting);
    const rows = await inserting.catch((error: unknown) => {
      drivers.handOver(given);
      throw error;
    });
    const makers = makersOf(batch, rows);
    const queued: string[] = [];
    for (const [at, pending] of batch.entries()) {
      if (!makers.has(pending)) continue;
      const handOver = handOvers[at];
      if (handOver !== undefined && rowOf(rows, pending.request).state === 'leased')
        given.get(handOver.call)?.push(handedOver(pending.request, handOver));
      else queued.push(pending.request.id);
    }
    // Told first, so that a driver has the work while the callers below are still being answered.
    drivers.handOver(given);
    if (queued.length > 0) drivers.work(queued);
    for (const { request, resolve } of makers) resolve({ row: freshRow(request, rowOf(rows, request)), fresh: true });
    const others = batch.filter((pending) => !makers.has(pending));
    if (others.length > 0) await tellOthers(others, retried);
  }

  /** Those who did not make a row. */
  async function tellOthers(others: readonly Pending[], retried: boolean): Promise<void> {
    const requests = others.map(({ request }) => request);
    // In this order: what is found was asked for by somebody who may know of it.
    const holding = await stillHolding(pool, requests);
    const existing = await readExisting(pool, requests);
    for (const [at, pending] of others.entries()) {
      if (holding.has(at)) settle(pending, existing.get(pending.request.id), retried);
      else pending.reject(new BeliefOutdated());
    }
  }

  return {
    submit(request: NewRequest, place: Place): Promise<Submitted> {
      return new Promise((resolve, reject) => {
        waiting.push({ request, place, resolve, reject });
        if (!running) void run();
      });
    },
  };
}
export type Submitter = ReturnType<typeof createSubmitter>;

/**
 * Who made the rows that are new. Two of a batch may have one id (the same externalId at once): the row is the one's whose
 * user action it holds, and the other must be told that it was there, or a different body would pass for the same request.
 */
function makersOf(batch: readonly Pending[], rows: ReadonlyMap<string, InsertedRecord>): Set<Pending> {
  const makers = new Map<string, Pending>();
  for (const pending of batch) {
    const { id, userAction } = pending.request;
    if (rows.get(id)?.user_action === userAction && !makers.has(id)) makers.set(id, pending);
  }
  return new Set(makers.values());
}

function rowOf(rows: ReadonlyMap<string, InsertedRecord>, request: NewRequest): InsertedRecord {
  const row = rows.get(request.id);
  if (row === undefined) throw new Error('a maker has a row');
  return row;
}

/** For those who did not make the row. */
function settle(pending: Pending, existing: RequestRecord | undefined, retried: boolean): void {
  if (existing === undefined) {
    pending.reject(new CodedError('USER_ACTION_USED', `for ${pending.request.id}`));
    return;
  }
  // After a lost connection the first try may have been committed: the row is then our own.
  const own = retried && existing.user_action === pending.request.userAction;
  pending.resolve({ row: requestRow(existing), fresh: own });
}

async function readExisting(pool: pg.Pool, requests: readonly NewRequest[]): Promise<Map<string, RequestRecord>> {
  if (requests.length === 0) return new Map();
  const { rows } = await pool.query<RequestRecord>(`select ${requestColumns} from request where id = any($1)`, [
    requests.map((request) => request.id),
  ]);
  return new Map(rows.map((row) => [row.id, row]));
}
