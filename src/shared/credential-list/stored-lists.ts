import type pg from 'pg';
import { CodedError } from '../errors.ts';
import type { SignedOrder } from '../orders/order.ts';

type Client = Pick<pg.ClientBase, 'query'>;

/** The newest list in the driver database; whether it is good is for its readers to find out. */
export async function newestList(client: Client): Promise<{ version: number; text: string } | undefined> {
  const { rows } = await client.query<{ version: number; text: string }>(
    'select version, list as text from credential_list order by version desc limit 1',
  );
  return rows[0];
}

/** @throws CREDENTIAL_LIST_OLD where a list of this or a higher version is there. */
export async function insertList(
  client: Client,
  { version, text, order, node }: { version: number; text: string; order: SignedOrder; node: string },
): Promise<void> {
  const { rowCount } = await client.query(
    `insert into credential_list (version, list, signed_order, node)
     select $1, $2, $3, $4 where not exists (select 1 from credential_list where version >= $1) on conflict do nothing`,
    [version, text, JSON.stringify(order), node],
  );
  if (rowCount !== 1) throw new CodedError('CREDENTIAL_LIST_OLD', `version ${version}`);
}
