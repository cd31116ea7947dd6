import type { FreezeScope } from '../../shared/freezes/freeze.ts';
import type { DriverDatabase, Statement } from '../database.ts';

/** An order as a row has it, and what the database says workers attested of it. */
interface RowOrder {
  /** Null for a thaw that nobody signed. */
  readonly order: unknown;
  readonly attestations: readonly string[];
}

/** What the driver database says of the key store's policy. Rows are hints: what they claim is checked by their readers. */
export interface PolicyRows {
  /** The database's clock, unix ms. */
  readonly clockMs: number;
  readonly freezes: readonly { readonly id: string; readonly scope: FreezeScope; readonly subject: string }[];
  readonly thaws: readonly ({ readonly id: string; readonly freeze: string } & RowOrder)[];
  /** Newest first; only those that were asked for. */
  readonly lists: readonly ({ readonly version: number; readonly list: string } & RowOrder)[];
}

/** A list may have megabytes, and one in force is not read again. More than these many bad ones at once is an attack. */
const mostLists = 3;

const attestations = `(select coalesce(jsonb_agg(attestation), '[]') from order_in_force
  where order_id = signed_order->'order'->>'id')`;

const select: Statement = {
  name: 'worker_policy',
  text: `select extract(epoch from clock_timestamp()) * 1000 as clock_ms,
    (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'scope', scope, 'subject', subject)), '[]') from frozen)
      as freezes,
    (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'freeze', frozen, 'order', signed_order,
        'attestations', ${attestations})), '[]') from thawed) as thaws,
    (select coalesce(jsonb_agg(jsonb_build_object('version', version, 'list', list, 'order', signed_order,
        'attestations', ${attestations}) order by version desc), '[]')
      from (select version, list, signed_order from credential_list
        where version >= $1 and version <> all($2::int[]) order by version desc limit ${mostLists}) newest) as lists`,
};

/** @param above the lowest version that is of use. @param except versions that were looked at already. */
export async function selectPolicy(
  database: Pick<DriverDatabase, 'query'>,
  above: number,
  except: readonly number[],
): Promise<PolicyRows> {
  const [row] = await database.query<{
    clock_ms: string;
    freezes: PolicyRows['freezes'];
    thaws: PolicyRows['thaws'];
    lists: PolicyRows['lists'];
  }>(select, [above, except]);
  if (row === undefined) throw new Error('a select without from has one row');
  return { clockMs: Number(row.clock_ms), freezes: row.freezes, thaws: row.thaws, lists: row.lists };
}
