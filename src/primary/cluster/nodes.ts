import type pg from 'pg';
import type { SlotState } from '../slot-table.ts';
import { run, type Self } from './statement.ts';

/** The nodes of a key store: each primary writes its row once a second, everybody reads all rows. */
export interface NodeSlot {
  readonly name: string;
  /** Label and serial number, where known. */
  readonly token: string;
  readonly state: SlotState;
  /** In that state, by the node's monotonic clock. */
  readonly forMs: number;
  readonly why: string;
  readonly purpose?: 'rotation';
  /** The current keys: what new keys are made under. */
  readonly masterKeyId?: string;
  readonly integrityKeyId?: string;
  /** Ids of the master and integrity keys that the slot has proven, the current ones included. */
  readonly keys?: readonly string[];
  /** On a rotation node: ids of the old master keys whose keys it can re-wrap. */
  readonly rotates?: readonly string[];
}

export interface ClusterNode {
  readonly node: string;
  readonly instance: string;
  readonly version: string;
  readonly slots: readonly NodeSlot[];
  /** ISO 8601, database time. */
  readonly seenAt: string;
  /** A predicate over database time; nobody decides it. */
  readonly live: boolean;
}

/** A node that was not seen for this long is dead. Five heartbeats: a database's hiccup is not a death. */
const deadAfter = "interval '5 seconds'";

export const isLive = (alias: string): string => `${alias}.seen_at > clock_timestamp() - ${deadAfter}`;

/**
 * This node lives.
 * @returns true when the row was written by another primary that lives: two run under this node's name.
 */
export async function beat(pool: pg.Pool, self: Self, slots: readonly NodeSlot[]): Promise<boolean> {
  const [row] = await run<{ other: boolean | null }>(
    pool,
    `with before as (select instance <> $2 and ${isLive('node')} as other from node where node = $1)
     insert into node (node, instance, version, slots, seen_at) values ($1, $2, $3, $4, clock_timestamp())
     on conflict (node) do update set instance = excluded.instance, version = excluded.version,
       slots = excluded.slots, seen_at = excluded.seen_at
     returning (select other from before) as other`,
    [self.node, self.instance, self.version, JSON.stringify(slots)],
  );
  return row?.other === true;
}

/** The node ends on purpose: it is not dead, it is gone. */
export async function leaveNodes(pool: pg.Pool, self: Self): Promise<void> {
  await run(pool, 'delete from node where node = $1 and instance = $2', [self.node, self.instance]);
}

export function readNodes(pool: pg.Pool): Promise<ClusterNode[]> {
  return run<ClusterNode & pg.QueryResultRow>(
    pool,
    `select node, instance, version, slots, ${isLive('node')} as live,
       to_char(seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "seenAt"
     from node order by node`,
    [],
  );
}
