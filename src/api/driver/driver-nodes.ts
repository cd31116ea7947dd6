import type pg from 'pg';
import { inTransaction } from '../../shared/database/transaction.ts';
import { CodedError } from '../../shared/errors.ts';
import type { SignedOrder } from '../../shared/orders/order.ts';
import { endLeases } from '../queue/expiry.ts';

/** A node on the list in the database; see driver-list.ts. */
export interface NodeOnList {
  readonly name: string;
  readonly keyStore: string;
  /** How its certificate is known; neither: by its common name. */
  readonly certificateSha256?: string;
  readonly san?: string;
  readonly addedAt: Date;
  readonly revokedAt?: Date;
}

/**
 * Puts a node on the list, or replaces what is known of it.
 * @throws DRIVER_REVOKED where the node was revoked and nothing tells its new certificate from the old one.
 */
export async function addNode(
  client: Pick<pg.ClientBase, 'query'>,
  node: Pick<NodeOnList, 'name' | 'keyStore' | 'certificateSha256' | 'san'>,
  order?: SignedOrder,
): Promise<void> {
  const { rowCount } = await client.query(
    `insert into driver_node (name, key_store, certificate_sha256, san, signed_order) values ($1, $2, $3, $4, $5)
     on conflict (name) do update set key_store = excluded.key_store, certificate_sha256 = excluded.certificate_sha256,
       san = excluded.san, signed_order = excluded.signed_order, added_at = now(), revoked_at = null
       where driver_node.revoked_at is null
         or (excluded.certificate_sha256 is not null
           and excluded.certificate_sha256 is distinct from driver_node.certificate_sha256)`,
    [
      node.name,
      node.keyStore,
      node.certificateSha256 ?? null,
      node.san ?? null,
      order === undefined ? null : JSON.stringify(order),
    ],
  );
  if (rowCount !== 1) throw new CodedError('DRIVER_REVOKED', node.name);
}

export async function listNodes(pool: pg.Pool): Promise<NodeOnList[]> {
  const { rows } = await pool.query<{
    name: string;
    key_store: string;
    certificate_sha256: string | null;
    san: string | null;
    added_at: Date;
    revoked_at: Date | null;
  }>('select name, key_store, certificate_sha256, san, added_at, revoked_at from driver_node order by name');
  return rows.map((row) => ({
    name: row.name,
    keyStore: row.key_store,
    ...(row.certificate_sha256 === null ? {} : { certificateSha256: row.certificate_sha256 }),
    ...(row.san === null ? {} : { san: row.san }),
    addedAt: row.added_at,
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
  }));
}

/**
 * Refuses a node from now on: its instances get nothing more, what they hold goes back to the queue, and every API
 * process closes its connections within a second.
 * @param keyStore of a node that is listed in the configuration only.
 * @returns how many requests it held.
 */
export async function revokeNode(pool: pg.Pool, name: string, keyStore: string): Promise<number> {
  const { instances, held } = await inTransaction(pool, async (client) => {
    await client.query(
      `insert into driver_node (name, key_store, revoked_at) values ($1, $2, now())
       on conflict (name) do update set revoked_at = coalesce(driver_node.revoked_at, now())`,
      [name, keyStore],
    );
    const ended = await client.query<{ id: string }>(
      'update driver_instance set ended_at = now() where node = $1 and ended_at is null returning id',
      [name],
    );
    const ids = ended.rows.map((row) => row.id);
    const leased = await client.query("select 1 from request where state = 'leased' and instance = any($1)", [ids]);
    return { instances: ids, held: leased.rowCount ?? 0 };
  });
  // Any API process may do this first, as it does for every instance that ended.
  for (const instance of instances) await endLeases(pool, instance);
  return held;
}
