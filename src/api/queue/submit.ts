import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import { CodedError } from '../../shared/errors.ts';
import { capability } from '../../shared/keys.ts';
import type { NewRequest, RequestRow } from './request.ts';
import { type RequestRecord, requestColumns, requestRow } from './request-row.ts';

/** How long an insert is tried again while the database does not answer, in milliseconds. */
const insertPatienceMs = 5_000;
const maxInsertBatch = 128;

export interface Submitted {
  readonly row: RequestRow;
  /** False: the row was there before this call. */
  readonly fresh: boolean;
}

/** Where in the queue a new request of this organisation stands. */
export interface Place {
  /** Higher goes first. */
  readonly priority: number;
  /** Lower goes first. */
  readonly turn: number;
}

export interface SubmitterOptions {
  readonly signTtlMs: number;
  readonly placeOf: (organisation: string) => Place;
}

interface Pending {
  readonly request: NewRequest;
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
 * @param inserted called with the ids that are new in the queue, right after the commit.
 */
export function createSubmitter(
  pool: pg.Pool,
  { signTtlMs, placeOf }: SubmitterOptions,
  inserted: (ids: readonly string[]) => void,
) {
  let waiting: Pending[] = [];
  let running = false;

  async function run(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, maxInsertBatch);
      waiting = waiting.slice(maxInsertBatch);
      await insertBatch(batch);
    }
    running = false;
  }

  async function insertBatch(batch: readonly Pending[]): Promise<void> {
    const deadline = performance.now() + insertPatienceMs;
    for (let tries = 0; ; tries += 1) {
      try {
        const rows = await insertRequests(
          pool,
          batch.map((pending) => pending.request),
          signTtlMs,
          placeOf,
        );
        // Told first, so that a driver takes the work while the callers below are still being answered.
        inserted([...rows.keys()]);
        const makers = makersOf(batch, rows);
        const others = batch.filter((pending) => !makers.has(pending));
        const existing = await readExisting(
          pool,
          others.map((pending) => pending.request),
        );
        for (const pending of makers) pending.resolve({ row: requestRow(rowOf(rows, pending)), fresh: true });
        for (const pending of others) settle(pending, existing.get(pending.request.id), tries > 0);
        return;
      } catch (error) {
        if (!isUnreachable(error) || performance.now() > deadline) {
          for (const pending of batch) pending.reject(error);
          return;
        }
        await delay(250);
      }
    }
  }

  return {
    submit(request: NewRequest): Promise<Submitted> {
      return new Promise((resolve, reject) => {
        waiting.push({ request, resolve, reject });
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
function makersOf(batch: readonly Pending[], rows: ReadonlyMap<string, RequestRecord>): Set<Pending> {
  const makers = new Map<string, Pending>();
  for (const pending of batch) {
    const { id, userAction } = pending.request;
    if (rows.get(id)?.user_action === userAction && !makers.has(id)) makers.set(id, pending);
  }
  return new Set(makers.values());
}

function rowOf(rows: ReadonlyMap<string, RequestRecord>, { request }: Pending): RequestRecord {
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

async function insertRequests(
  pool: pg.Pool,
  requests: readonly NewRequest[],
  signTtlMs: number,
  placeOf: SubmitterOptions['placeOf'],
): Promise<Map<string, RequestRecord>> {
  const { rows } = await pool.query<RequestRecord>(
    `insert into request (id, organisation, kind, key_store, capability, priority, turn, state, service_account, access_token, user_action,
       external_id, fingerprint, body, network, wallet_id, wallet, key_id, key_name, scheme, curve, digests, format,
       authorisation, expires_at)
     select id, organisation, kind, key_store, capability, priority, turn, 'queued', service_account, access_token, user_action,
       external_id, decode(fingerprint, 'hex'), body, network, wallet_id, wallet, key_id, key_name, scheme, curve,
       (select array_agg(decode(digest, 'hex') order by place) from unnest(digests) with ordinality as d (digest, place)),
       format, authorisation, case when kind = 'Sign' then now() + $2 * interval '1 millisecond' end
     from jsonb_to_recordset($1::jsonb) as r (id text, organisation text, kind text, key_store text, capability text,
       priority smallint, turn bigint,
       service_account text, access_token text, user_action text, external_id text, fingerprint text, body jsonb, network text,
       wallet_id text, wallet jsonb,
       key_id text, key_name text, scheme text, curve text, digests text[], format jsonb, authorisation jsonb)
     on conflict do nothing
     returning ${requestColumns}`,
    [
      JSON.stringify(requests.map((request) => insertable(request, placeOf(request.requester.organisation)))),
      signTtlMs,
    ],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

function insertable(request: NewRequest, place: Place): Record<string, unknown> {
  return {
    id: request.id,
    organisation: request.requester.organisation,
    kind: request.kind,
    key_store: request.keyStore,
    capability: capability(request.kind, request.type.curve),
    priority: place.priority,
    turn: place.turn,
    service_account: request.requester.serviceAccount,
    access_token: request.requester.accessToken,
    user_action: request.userAction,
    external_id: request.externalId ?? null,
    fingerprint: request.fingerprint.toString('hex'),
    body: request.body,
    network: request.network ?? null,
    wallet_id: request.walletId ?? null,
    wallet: request.wallet ?? null,
    key_id: request.keyId,
    key_name: request.keyName ?? null,
    scheme: request.type.scheme,
    curve: request.type.curve,
    digests: request.digests?.map((digest) => digest.toString('hex')) ?? null,
    format: request.format ?? null,
    authorisation: request.authorisation,
  };
}

async function readExisting(pool: pg.Pool, requests: readonly NewRequest[]): Promise<Map<string, RequestRecord>> {
  if (requests.length === 0) return new Map();
  const { rows } = await pool.query<RequestRecord>(`select ${requestColumns} from request where id = any($1)`, [
    requests.map((request) => request.id),
  ]);
  return new Map(rows.map((row) => [row.id, row]));
}
