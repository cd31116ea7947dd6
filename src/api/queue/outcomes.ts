import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { attestationHolds } from '../../shared/crypto/attestation.ts';
import type { Acknowledgement, Outcome, OutcomesCall, Signature } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import type { KeyType } from '../../shared/keys.ts';
import { insertKeys, type NewKey } from '../keys.ts';
import { completeWallets } from '../wallets/complete-wallets.ts';
import { finishRequests, type RequestUpdate } from './finish-requests.ts';
import { type Effect, judge } from './judge.ts';
import type { DriverNode } from './lease.ts';
import type { RequestState } from './request.ts';
import type { EndRecord } from './request-row.ts';

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
          curve: row.curve,
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
    throw error;
  } finally {
    // Closed when something failed, and rolled back with it: a statement more might wait behind one that is never answered.
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
  const updates: RequestUpdate[] = [];
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
          repeats: true,
          not_opened: true,
          error_code: effect.code,
          error_message: effect.message,
        });
        break;
      case 'requeue':
        updates.push({
          id: row.id,
          state: 'queued',
          counts: effect.counts === 'as attempt',
          repeats: effect.counts !== 'never',
          error_code: effect.code,
          error_message: effect.message,
        });
        break;
      default:
        throw new Error(`unknown effect: ${effect satisfies never}`);
    }
  }
  if (newKeys.length > 0) {
    await insertKeys(client, newKeys);
    await completeWallets(client, newKeys);
  }
  return updates.length === 0 ? [] : await finishRequests(client, instance, updates);
}
