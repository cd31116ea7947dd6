import type pg from 'pg';
import type { KeysAnswer, KeysCall, KnownKey } from '../../shared/driver-protocol.ts';
import type { DriverNode } from '../queue/lease.ts';

/**
 * The keys of a node's key store as this database has them, for reconciliation. Attestations are not checked here: a row
 * that somebody changed must show as different, not fail the whole page.
 */
export function createKnownKeys(pool: pg.Pool): (node: DriverNode, call: KeysCall) => Promise<KeysAnswer> {
  const columns = `id, organisation, request_id as "requestId", scheme, curve, public_key as "publicKey"`;
  return async ({ keyStore }, call) => {
    const query =
      'ids' in call
        ? { text: `select ${columns} from key where key_store = $1 and id = any($2)`, values: [keyStore, call.ids] }
        : {
            text: `select ${columns} from key where key_store = $1 and id > $2 order by id limit $3`,
            values: [keyStore, call.after ?? '', call.limit],
          };
    const { rows } = await pool.query<KnownKey & pg.QueryResultRow>(query);
    return { keys: rows };
  };
}
