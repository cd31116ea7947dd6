import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { isUnreachable, mayBeDone } from '../../shared/database/faults.ts';
import type { LeasedRequest } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import { handedOver } from './hand-over.ts';
import { freshRow, type InsertedRecord, insertRequests, type Place, stillHolding } from './insert-requests.ts';
import { BeliefOutdated, type NewRequest, type RequestRow } from './request.ts';
import { type RequestRecord, requestColumns, requestRow } from './request-row.ts';
import type { WaitingCall } from './waiting-call.ts';
import type { WaitingDrivers } from './waiting-drivers.ts';

/** How long a request waits for a database that does not answer, in milliseconds; then its caller may ask elsewhere. */
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
  readonly since: number;
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

  /** @param lost an earlier try may have been committed */
  async function insertBatch(batch: readonly Pending[], lost = false): Promise<void> {
    for (let left = batch, unsure = lost; left.length > 0; ) {
      try {
        await insertOnce(left, unsure);
        return;
      } catch (error) {
        if (isUnreachable(error)) {
          unsure ||= mayBeDone(error);
          left = giveUpOld(left, error, unsure);
          // Those that wait behind it are no better off, and have waited as long.
          waiting = giveUpOld(waiting, error, false);
          if (left.length > 0) await delay(250);
        } else if (left.length > 1) {
          // One is to blame, or met what others do at the same time (a deadlock, a webhook that is being deleted): nothing was
          // inserted, and nobody fails with it.
          for (const one of left) await insertBatch([one], unsure);
          return;
        } else {
          left[0]?.reject(error);
          return;
        }
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
        waiting.push({ since: performance.now(), request, place, resolve, reject });
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

/**
 * @param unsure they may be in the table. Who repeats a signature with its externalId gets the same one; who repeats a key
 * request gets a second key, and is told not to.
 * @returns those that wait on
 */
function giveUpOld(list: readonly Pending[], error: unknown, unsure: boolean): Pending[] {
  const old = performance.now() - insertPatienceMs;
  return list.filter(({ since, request, reject }) => {
    if (since > old) return true;
    reject(unsure && request.kind === 'GenerateKey' ? beingMade(request.keyId, error) : error);
    return false;
  });
}

function beingMade(keyId: string, cause: unknown): CodedError {
  return new CodedError('KEY_BEING_MADE', `${keyId}, if the database has taken the request`, { cause });
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
