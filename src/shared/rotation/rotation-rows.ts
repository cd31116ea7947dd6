import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { SignedOrder } from '../orders/order.ts';

/**
 * The rotations of the driver database, one function a statement. Of all of them at most one is running or paused:
 *
 *   running   a rotation node (master key) or any node with a ready slot (integrity key) moves rows   → paused, aborted, finished
 *   paused    rows stay as they are, both keys in use                                                 → running, aborted
 *   aborted   ended before all rows were moved: both keys stay in use                                 (another may start)
 *   finished  one statement found no row under the old key, and none can be written any more          → destroyed
 *   destroyed the operators say that the old key is gone from every token, the backup token included
 */
export const rotationKinds = ['master-key', 'integrity-key'] as const;
export type RotationKind = (typeof rotationKinds)[number];
export type RotationState = 'running' | 'paused' | 'aborted' | 'finished' | 'destroyed';

export interface Rotation {
  readonly id: string;
  readonly kind: RotationKind;
  readonly fromId: string;
  readonly toId: string;
  readonly state: RotationState;
  readonly total: number;
  readonly moved: number;
  /** Ids of keys that could not be moved; at most a hundred. */
  readonly stuck: readonly string[];
  readonly proof: RotationProof | null;
  /** The operators’ order to start it, as it was given; verified by whoever moves rows. */
  readonly signedOrder: unknown;
  /** How often it went on after a pause: counted by the database, whoever changes the row. */
  readonly resumes: number;
  /** The operators’ order by which it did last; verified as the first one. */
  readonly resumedBy: unknown;
  /** ISO 8601, database time. */
  readonly startedAt: string;
  readonly changedAt: string;
  /** Unix ms by the database’s clock, when the row was read. */
  readonly readAtMs: number;
}

/** From which key to which. */
export type WantedRotation = Pick<Rotation, 'kind' | 'fromId' | 'toId'>;

/** How orders and people name a rotation. */
export function rotationSubject({ kind, fromId, toId }: WantedRotation): string {
  return `${kind} ${fromId} to ${toId}`;
}

/** What one statement counted while no insert was under way. */
export interface RotationProof {
  /** 0, or the rotation is not finished. */
  readonly underOldKey: number;
  /** Of deleted keys: they end with the old master key. */
  readonly deletedUnderOldKey: number;
  readonly underNewKey: number;
  readonly underOtherKeys: number;
  readonly at: string;
}

/** Which states a command may change into another. */
const steps = {
  pause: { from: ['running'], to: 'paused' },
  resume: { from: ['paused'], to: 'running' },
  abort: { from: ['running', 'paused'], to: 'aborted' },
  destroyed: { from: ['finished'], to: 'destroyed' },
} as const satisfies Record<string, { from: readonly RotationState[]; to: RotationState }>;
export type RotationStep = keyof typeof steps;

type Queryable = Pick<pg.Pool, 'query'>;

const columns = `id, kind, from_id as "fromId", to_id as "toId", state, total::float8 as total, moved::float8 as moved, stuck,
  proof, signed_order as "signedOrder", resumes, resumed_by as "resumedBy", ${iso('started_at')} as "startedAt",
  ${iso('changed_at')} as "changedAt", extract(epoch from clock_timestamp())::float8 * 1000 as "readAtMs"`;

function iso(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/** Newest first. */
export async function readRotations(database: Queryable): Promise<Rotation[]> {
  const { rows } = await database.query<Rotation>(`select ${columns} from rotation order by started_at desc limit 20`);
  return rows;
}

/** The one that goes on, or is paused. */
export async function openRotation(database: Queryable): Promise<Rotation | undefined> {
  const { rows } = await database.query<Rotation>(
    `select ${columns} from rotation where state in ('running', 'paused')`,
  );
  return rows[0];
}

/**
 * With an order the rotation has its id, so that one order starts one rotation: nodes move nothing for a row of another id.
 * @returns undefined when another one is open, or the order has started one. A key that an earlier rotation retired may be
 * rotated to again, as long as it was not destroyed.
 */
export async function insertRotation(
  database: Queryable,
  { kind, fromId, toId, signedOrder = null }: WantedRotation & { readonly signedOrder?: SignedOrder | null },
): Promise<Rotation | undefined> {
  const column = keyColumn(kind);
  const { rows } = await database.query<Rotation>(
    `with brought_back as (delete from retired_key where id = $4
       and not exists (select from rotation where id = $1 or state in ('running', 'paused')))
     insert into rotation (id, kind, from_id, to_id, signed_order, state, total)
     select $1, $2, $3, $4, $5, 'running', (select count(*) from wrapped_key where ${column} = $3 and ${mayMove(kind)})
     on conflict do nothing returning ${columns}`,
    [signedOrder?.order.id ?? randomUUID(), kind, fromId, toId, asJson(signedOrder)],
  );
  return rows[0];
}

/**
 * @param order the operators’ order to resume it; the database refuses one that has resumed a rotation before.
 * @returns false when it is in no state from which this step leads.
 */
export async function stepRotation(
  database: Queryable,
  id: string,
  step: RotationStep,
  order: SignedOrder | null = null,
): Promise<boolean> {
  const { from, to } = steps[step];
  const { rowCount } = await database.query(
    `update rotation set state = $3, changed_at = clock_timestamp(),
       resumed_by = case when $3 = 'running' then $4::jsonb else resumed_by end
     where id = $1 and state = any($2::text[])`,
    [id, from, to, asJson(order)],
  );
  return rowCount === 1;
}

function asJson(order: SignedOrder | null): string | null {
  return order === null ? null : JSON.stringify(order);
}

export function keyColumn(kind: RotationKind): 'master_key_id' | 'integrity_key_id' {
  return kind === 'master-key' ? 'master_key_id' : 'integrity_key_id';
}

/** A deleted key stays under the old master key, and ends with it. */
export function mayMove(kind: RotationKind): string {
  return kind === 'master-key' ? "status <> 'deleted'" : 'true';
}

/** Ids of keys that still are under the old key, after `after`, in order. */
export async function keysToMove(
  database: Queryable,
  { kind, fromId }: Pick<WantedRotation, 'kind' | 'fromId'>,
  after: string,
  limit: number,
): Promise<string[]> {
  const { rows } = await database.query<{ key_id: string }>(
    `select key_id from wrapped_key where ${keyColumn(kind)} = $1 and key_id > $2 and ${mayMove(kind)}
     order by key_id limit $3`,
    [fromId, after, limit],
  );
  return rows.map((row) => row.key_id);
}

export async function countToMove(
  database: Queryable,
  { kind, fromId }: Pick<WantedRotation, 'kind' | 'fromId'>,
): Promise<number> {
  const { rows } = await database.query<{ n: number }>(
    `select count(*)::float8 as n from wrapped_key where ${keyColumn(kind)} = $1 and ${mayMove(kind)}`,
    [fromId],
  );
  return rows[0]?.n ?? 0;
}

/** What the rotation had replaced, once its old key is destroyed. @returns how many rows were forgotten */
export async function forgetReplacedBlobs(database: Queryable, id: string): Promise<number> {
  const { rows } = await database.query<{ n: number }>('select forget_replaced_blobs($1)::float8 as n', [id]);
  return rows[0]?.n ?? 0;
}
