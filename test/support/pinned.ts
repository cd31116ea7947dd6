import type pg from 'pg';
import { aboutCredentialList, type ListedCredential } from '../../src/shared/credential-list/credential-list.ts';
import { listText } from '../../src/shared/credential-list/next-list.ts';
import type { SignedOrder } from '../../src/shared/orders/order.ts';
import type { TestOperators } from './operators.ts';

interface PinnedList {
  readonly version: number;
  readonly credentials: readonly ListedCredential[];
  readonly by?: readonly string[];
  readonly atMs?: number;
}

/**
 * Puts a list of credentials in force as a writer in the driver database can, without the checks of the command.
 * @param by who signs the order; default: enough operators.
 * @param atMs since when the order was good, for an hour; default: now.
 */
export async function pin(
  pool: pg.Pool,
  operators: TestOperators,
  keyStore: string,
  { version, credentials, by, atMs }: PinnedList,
): Promise<SignedOrder> {
  const text = listText({ version, keyStore, createdAt: new Date().toISOString(), credentials: [...credentials] });
  const order = operators.order(keyStore, aboutCredentialList(text), by, atMs);
  await pool.query('insert into credential_list (version, list, signed_order, node) values ($1, $2, $3, $4)', [
    version,
    text,
    JSON.stringify(order),
    'test',
  ]);
  return order;
}
