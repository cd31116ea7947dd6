import type pg from 'pg';
import { aboutCredentialList, type ListedCredential } from '../../src/shared/credential-list/credential-list.ts';
import { listText } from '../../src/shared/credential-list/next-list.ts';
import type { TestOperators } from './operators.ts';

/**
 * Puts a list of credentials in force as a writer in the driver database can, without the checks of the command.
 * @param by who signs the order; default: enough operators.
 */
export async function pin(
  pool: pg.Pool,
  operators: TestOperators,
  keyStore: string,
  { version, credentials, by }: { version: number; credentials: readonly ListedCredential[]; by?: readonly string[] },
): Promise<void> {
  const text = listText({ version, keyStore, createdAt: new Date().toISOString(), credentials: [...credentials] });
  const order = operators.order(keyStore, aboutCredentialList(text), by);
  await pool.query('insert into credential_list (version, list, signed_order, node) values ($1, $2, $3, $4)', [
    version,
    text,
    JSON.stringify(order),
    'test',
  ]);
}
