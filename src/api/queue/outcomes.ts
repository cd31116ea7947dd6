import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { attestationHolds } from '../../shared/crypto/attestation.ts';
import type { Acknowledgement, Outcome, OutcomesCall, Signature } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import type { KeyType } from '../../shared/keys.ts';
import { insertKeys, type NewKey } from '../keys.ts';
import { completeWallets } from '../wallets/complete-wallets.ts';
import { maxAttempts } from './expiry.ts';
import { type Effect, judge } from './judge.ts';
import { type DriverNode, presenceMs } from './lease.ts';
import type { RequestState } from './request.ts';
import { type EndRecord, endColumns } from './request-row.ts';

export interface Completed {
  readonly acknowledgements: { readonly id: string; readonly acknowledgement: Acknowledgement }[];
  /** Rows that are final now. */
  readonly finished: EndRecord[];
  readonly requeued: number;
}

interface LockedRow {
  readonly id: string;
  readonly kind: 'GenerateKey' | 'Sign';
  readonly state: RequestState;
  readonly organisation: string;
  readonly lease: string | null;
  readonly key_id: string;
  readonly key_name: string | null;
  readonly scheme: string;
  readonly curve: string;
  readonly digest_count: number;
  readonly public_key: string | null;
  readonly signatures: readonly Signature[] | null;
  readonly key_public_key: string | null;
}

interface Decided {
  readonly row: LockedRow;
  readonly effect: Effect;
}

/**
 * Takes a driver's outcomes, those that first-signatures.ts left: judges each against the row, and does all that follows in one transaction that is on disk
 * before the driver is answered. The request is finished from its row alone, by whichever process got the outcome.
 * @param pool durable.
 */
export async function complete(
  pool: pg.Pool,
  pinned: ReadonlyMap<string, KeyObject>,
  node: DriverNode,
  call: OutcomesCall,
): Promise<Completed> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    await requireOwnInstance(client, node, call.instance);
    const rows = await lockRows(client, node, call.outcomes);
    const acknowledgements: Completed['acknowledgements'] = [];
    const decided = new Map<string, Decided>();
    for (const outcome of call.outcomes) {
      const row = rows.get(outcome.id);
      // A second outcome for the same request in one call would be judged against a row that is about to change.
      if (row === undefined || decided.has(outcome.id)) {
        acknowledgements.push({ id: outcome.id, acknowledgement: 'unknown' });
        continue;
      }
      const { acknowledgement, effect } = judge(
        {
          kind: row.kind,
          state: row.state,
          lease: row.lease,
          digestCount: row.digest_count,
          keyPublicKey: row.key_public_key,
          publicKey: row.public_key,
          signatures: row.signatures,
          attested: (publicKey, attestation) => isAttested(pinned, node, row, publicKey, attestation),
        },
        outcome.lease,
        outcome.result,
      );
      acknowledgements.push({ id: outcome.id, acknowledgement });
      decided.set(outcome.id, { row, effect });
    }
    const finished = await applyEffects(client, node, call.instance, [...decided.values()]);
    await client.query('commit');
    const requeued = [...decided.values()].filter(
      ({ row, effect }) =>
        effect.kind === 'requeue' || (effect.kind === 'not opened' && !finished.some(({ id }) => id === row.id)),
    ).length;
    return { acknowledgements, finished, requeued };
  } catch (error) {
    broken = error as Error;
    await client.query('rollback').catch(() => {});
    throw error;
  } finally {
    client.release(broken);
  }
}

async function requireOwnInstance(client: pg.ClientBase, node: DriverNode, instance: string): Promise<void> {
  const { rowCount } = await client.query({ ...owning, values: [instance, node.name] });
  if (rowCount !== 1) throw new CodedError('INSTANCE_OF_OTHER_NODE', `${instance}, called by ${node.name}`);
}

const owning = {
  name: 'api_own_instance',
  text: 'select 1 from driver_instance where id = $1 and node = $2',
};

/** Sorted by id, so that two calls that share requests cannot wait for each other in a circle. */
async function lockRows(
  client: pg.ClientBase,
  node: DriverNode,
  outcomes: readonly Outcome[],
): Promise<Map<string, LockedRow>> {
  const { rows } = await client.query<LockedRow>({
    ...locking,
    values: [outcomes.map((outcome) => outcome.id), node.keyStore],
  });
  return new Map(rows.map((row) => [row.id, row]));
}

const locking = {
  name: 'api_lock_requests',
  text: `select r.id, r.kind, r.state, r.organisation, r.lease, r.key_id, r.key_name, r.scheme, r.curve,
       coalesce(array_length(r.digests, 1), 0) as digest_count, r.public_key, r.signatures, key.public_key as key_public_key
     from request r left join lateral (select public_key from key where key.id = r.key_id limit 1) key on true
     where r.id = any($1) and r.key_store = $2
     order by r.id for update of r`,
};

function isAttested(
  pinned: ReadonlyMap<string, KeyObject>,
  node: DriverNode,
  row: LockedRow,
  publicKey: string,
  attestation: string,
): boolean {
  const key = pinned.get(node.keyStore);
  if (key === undefined) return false;
  const type = { scheme: row.scheme, curve: row.curve } as KeyType;
  return attestationHolds(
    key,
    { keyStore: node.keyStore, organisation: row.organisation, keyId: row.key_id, requestId: row.id, type, publicKey },
    attestation,
  );
}

async function applyEffects(
  client: pg.ClientBase,
  node: DriverNode,
  instance: string,
  decided: readonly Decided[],
): Promise<EndRecord[]> {
  const newKeys: NewKey[] = [];
  const updates: Record<string, unknown>[] = [];
  for (const { row, effect } of decided) {
    switch (effect.kind) {
      case 'nothing':
        break;
      case 'made':
        newKeys.push({
          id: row.key_id,
          organisation: row.organisation,
          keyStore: node.keyStore,
          requestId: row.id,
          type: { scheme: row.scheme, curve: row.curve } as KeyType,
          publicKey: effect.publicKey,
          attestation: effect.attestation,
          ...(row.key_name === null ? {} : { name: row.key_name }),
        });
        updates.push({ id: row.id, state: 'made', public_key: effect.publicKey });
        break;
      case 'signed':
        updates.push({ id: row.id, state: 'signed', public_key: effect.publicKey, signatures: effect.signatures });
        break;
      case 'failed':
        updates.push({ id: row.id, state: 'failed', error_code: effect.code, error_message: effect.message });
        break;
      case 'not opened':
        updates.push({
          id: row.id,
          state: 'queued',
          counts: true,
          not_opened: true,
          error_code: effect.code,
          error_message: effect.message,
        });
        break;
      case 'requeue':
        updates.push({ id: row.id, state: 'queued', counts: effect.counts });
        break;
      default:
        throw new Error(`unknown effect: ${effect satisfies never}`);
    }
  }
  if (newKeys.length > 0) {
    await insertKeys(client, newKeys);
    await completeWallets(client, newKeys);
  }
  return updates.length === 0 ? [] : await updateRows(client, instance, updates);
}

/**
 * One statement for the batch. A device fault counts as an attempt only once per slot: an instance that already gave
 * this request back says nothing new about it. A key that a slot did not open goes to one other slot that can do it;
 * when there is none, or that one says the same, the key is what is broken.
 */
async function updateRows(
  client: pg.ClientBase,
  instance: string,
  updates: readonly Record<string, unknown>[],
): Promise<EndRecord[]> {
  const { rows } = await client.query<EndRecord>({
    ...finishing,
    values: [JSON.stringify(updates), instance, maxAttempts, updates.map(({ id }) => id), presenceMs],
  });
  return rows.filter((row) => row.state !== 'queued');
}

const finishing = {
  name: 'api_finish_requests',
  text: `with told as (
       select * from jsonb_to_recordset($1::jsonb) as t (id text, state text, public_key text, signatures jsonb,
         error_code text, error_message text, counts boolean, not_opened boolean)
     ), me as (
       select node, slot, node || '/' || slot as place from driver_instance where id = $2
     ), counted as (
       select told.*, me.place,
         request.attempts + case when told.counts and $2::uuid <> all(request.given_back) then 1 else 0 end as tried,
         coalesce(told.not_opened, false) and (coalesce(request.not_opened_at <> me.place, false) or not exists (
           select 1 from driver_instance other
           where other.key_store = request.key_store and (other.node, other.slot) <> (me.node, me.slot)
             and other.ended_at is null and other.seen_at > now() - $5 * interval '1 millisecond'
             and request.capability = any(other.capabilities))) as broken
       from told join request using (id) cross join me where request.id = any($4)
     ), judged as (
       select counted.*, state = 'queued' and (broken or tried >= $3) as hopeless from counted
     )
     update request set
       state = case when c.hopeless then 'failed' else c.state end,
       attempts = c.tried,
       public_key = coalesce(c.public_key, request.public_key),
       signatures = c.signatures,
       error_code = case when c.hopeless and not c.broken then 'ATTEMPTS_EXHAUSTED'
         when c.hopeless or c.state <> 'queued' then c.error_code end,
       error_message = case when c.hopeless and not c.broken then 'HSMs failed at it ' || c.tried || ' times'
         when c.hopeless or c.state <> 'queued' then c.error_message end,
       not_opened_at = case when c.not_opened then coalesce(request.not_opened_at, c.place) else request.not_opened_at end,
       given_back = case when c.state = 'queued' then array_append(array_remove(given_back, $2::uuid), $2::uuid) else given_back end,
       instance = null, lease = null, lease_until = null,
       done_at = case when c.state = 'queued' and not c.hopeless then null else now() end
     from judged c where request.id = c.id and request.id = any($4)
     returning ${endColumns.replace(/\w+/g, 'request.$&')}`,
};
