import type pg from 'pg';
import { capability } from '../../shared/keys.ts';
import type { HandOver } from './hand-over.ts';
import { leaseMs } from './lease.ts';
import type { NewRequest, RequestRow } from './request.ts';

/** Where in the queue a new request of this organisation stands. */
export interface Place {
  /** Higher goes first. */
  readonly priority: number;
  /** Lower goes first. */
  readonly turn: number;
}

/** A request on its way into the table. */
export interface Insertion {
  readonly request: NewRequest;
  readonly place: Place;
  /** A driver that waits for it: the row is inserted as leased by that one, if it still lives. */
  readonly handOver?: HandOver | undefined;
}

export interface InsertedRecord {
  readonly id: string;
  readonly user_action: string;
  readonly created_at: Date;
  /** Whether the hand-over took place. */
  readonly state: 'queued' | 'leased';
}

/**
 * One statement for a batch. A row is left out when its id or its user action is there already, or when something that
 * was believed does not hold: this statement, not what anybody read before, decides.
 * In the order of ids: two processes that insert the same ids crosswise would each wait for the other’s row.
 * @returns what was inserted, by id.
 */
export async function insertRequests(
  pool: pg.Pool,
  insertions: readonly Insertion[],
  signTtlMs: number,
): Promise<Map<string, InsertedRecord>> {
  const { rows } = await pool.query<InsertedRecord>({
    ...inserting,
    values: [JSON.stringify(insertions.map(insertable)), signTtlMs, leaseMs, tokensOf(insertions)],
  });
  return new Map(rows.map((row) => [row.id, row]));
}

/** The places of the requests of which all that was believed holds; for those that were not inserted. */
export async function stillHolding(pool: pg.Pool, requests: readonly NewRequest[]): Promise<Set<number>> {
  const beliefs = requests.map((request, at) => ({ at, ...belief(request) }));
  const { rows } = await pool.query<{ at: number }>({
    ...checking,
    values: [JSON.stringify(beliefs), requests.map(({ requester }) => requester.accessToken)],
  });
  return new Set(rows.map(({ at }) => at));
}

/** What a fresh row holds, without reading it back. */
export function freshRow(request: NewRequest, { state, created_at: createdAt }: InsertedRecord): RequestRow {
  const { id, kind, requester, keyStore, keyId, type, fingerprint, body, network, walletId, externalId } = request;
  return {
    ...{ id, kind, state, requester, keyStore, keyId, type, fingerprint, body, createdAt },
    ...(network === undefined ? {} : { network }),
    ...(walletId === undefined ? {} : { walletId }),
    ...(externalId === undefined ? {} : { externalId }),
    ...(request.format === undefined || request.format === null ? {} : { format: request.format }),
    deliveries: state === 'leased' ? 1 : 0,
  };
}

function tokensOf(insertions: readonly Insertion[]): string[] {
  return [...new Set(insertions.map(({ request }) => request.requester.accessToken))];
}

function belief({ requester, keyId, believed }: NewRequest): Record<string, unknown> {
  return {
    organisation: requester.organisation,
    service_account: requester.serviceAccount,
    access_token: requester.accessToken,
    key_id: keyId,
    rights_version: believed?.rightsVersion ?? null,
    believed_public_key: believed?.key?.publicKey ?? null,
    believed_attestation: believed?.key?.attestation ?? null,
  };
}

function insertable({ request, place, handOver }: Insertion): Record<string, unknown> {
  return {
    ...belief(request),
    id: request.id,
    kind: request.kind,
    key_store: request.keyStore,
    capability: capability(request.kind, request.type.curve),
    priority: place.priority,
    turn: place.turn,
    user_action: request.userAction,
    external_id: request.externalId ?? null,
    fingerprint: `\\x${request.fingerprint.toString('hex')}`,
    body: request.body,
    network: request.network ?? null,
    wallet_id: request.walletId ?? null,
    wallet: request.wallet ?? null,
    key_name: request.keyName ?? null,
    scheme: request.type.scheme,
    curve: request.type.curve,
    digests: request.digests?.map((digest) => `\\x${digest.toString('hex')}`) ?? null,
    format: request.format ?? null,
    authorisation: request.authorisation,
    instance: handOver?.instance ?? null,
    lease: handOver?.lease ?? null,
  };
}

/**
 * True for a row `r` of which all that was believed holds. @param tokens the parameter with all their tokens.
 * Keys are looked up one by one and by nothing but their ids: a planner that may choose reads, without statistics, all keys
 * of an organisation for each request.
 */
const believedKey = `left join lateral (
    select organisation, status, public_key, attestation from key where key.id = r.key_id limit 1
  ) as found on true`;
const holds = (tokens: string) => `(r.rights_version is null or
    (r.access_token, r.service_account, r.organisation, r.rights_version) in (
      select token.id, account.id, organisation.id, organisation.rights_version
      from access_token token join service_account account on account.id = token.service_account
        join organisation on organisation.id = account.organisation
      where token.id = any(${tokens}) and token.active and token.expires_at > now() and account.active))
  and (r.believed_public_key is null or (found.organisation = r.organisation and found.status = 'Active'
    and found.public_key = r.believed_public_key and found.attestation = r.believed_attestation))`;

const beliefColumns = `organisation text, service_account text, access_token text, key_id text,
  rights_version bigint, believed_public_key text, believed_attestation text`;

const checking = {
  name: 'api_check_beliefs',
  text: `select r.at from jsonb_to_recordset($1::jsonb) as r (at integer, ${beliefColumns})
    ${believedKey} where ${holds('$2')}`,
};

const inserting = {
  name: 'api_insert_requests',
  text: `insert into request (id, organisation, kind, key_store, capability, priority, turn, state, service_account, access_token, user_action,
       external_id, fingerprint, body, network, wallet_id, wallet, key_id, key_name, scheme, curve, digests, format,
       authorisation, expires_at, instance, lease, lease_until, deliveries)
     select r.id, r.organisation, kind, r.key_store, capability, priority, turn, case when me.id is null then 'queued' else 'leased' end,
       service_account, access_token, user_action,
       external_id, fingerprint, body, network, wallet_id, wallet, key_id, key_name, scheme, curve, digests, format, authorisation, case when kind = 'Sign' then now() + $2 * interval '1 millisecond' end,
       me.id, case when me.id is not null then r.lease end,
       case when me.id is not null then now() + $3 * interval '1 millisecond' end,
       case when me.id is null then 0 else 1 end
     from jsonb_to_recordset($1::jsonb) as r (id text, ${beliefColumns}, kind text, key_store text, capability text,
       priority smallint, turn bigint, user_action text, external_id text, fingerprint bytea, body jsonb, network text,
       wallet_id text, wallet jsonb, key_name text, scheme text, curve text, digests bytea[], format jsonb,
       authorisation jsonb, instance uuid, lease uuid)
       ${believedKey}
       left join lateral (
         select id from driver_instance where id = r.instance and ended_at is null limit 1
       ) me on true
     where ${holds('$4')}
     order by r.id
     on conflict do nothing
     returning id, user_action, created_at, state`,
};
