import type pg from 'pg';
import type { KnownKey } from '../../shared/driver-protocol.ts';

/** The keys of the driver database, as reconciliation compares them. */
export interface StoredKeys {
  /** All that are old enough to be known to the API, page by page. */
  pages(): AsyncGenerator<readonly KnownKey[]>;
  named(ids: readonly string[]): Promise<readonly KnownKey[]>;
}

const pageSize = 1_000;
/** A key is stored here before the API hears of it. */
const settled = "interval '10 minutes'";

const columns = `key_id as id, organisation, request_id as "requestId", scheme, curve,
  encode(public_key, 'hex') as "publicKey"`;

export function createStoredKeys(pool: pg.Pool, keyStore: string): StoredKeys {
  async function read(where: string, values: readonly unknown[]): Promise<KnownKey[]> {
    const { rows } = await pool.query<KnownKey & pg.QueryResultRow>(
      `select ${columns} from wrapped_key where key_store = $1 and ${where}`,
      [keyStore, ...values],
    );
    return rows;
  }

  return {
    async *pages() {
      for (let after = ''; ; ) {
        const page = await read(
          `key_id > $2 and created_at < clock_timestamp() - ${settled} order by key_id limit $3`,
          [after, pageSize],
        );
        if (page.length > 0) yield page;
        const last = page.at(-1);
        if (last === undefined || page.length < pageSize) return;
        after = last.id;
      }
    },
    named: (ids) => read('key_id = any($2)', [ids]),
  };
}
