import type pg from 'pg';
import { openAuditLog } from '../../src/shared/audit/open-log.ts';
import type { CeremonyFile } from '../../src/shared/ceremony-file.ts';
import type { Curve } from '../../src/shared/keys.ts';
import type { DriverDatabase } from '../../src/worker/database.ts';
import { insertKeys } from '../../src/worker/key-rows.ts';
import type { WrappedKey } from '../../src/worker/wrapped-key.ts';
import { generateJob, open, value } from './open-hsm.ts';
import type { SoftKeyStore } from './soft-token.ts';

/** A worker's view of the database over a test's pool: statements only. */
export function asDriverDatabase(pool: pg.Pool): DriverDatabase {
  const query = async (statement: { text: string }, values: readonly unknown[]) =>
    (await pool.query(statement.text, [...values])).rows;
  return { query } as unknown as DriverDatabase;
}

/** Keys made on a token of the key store by this process, and stored: faster than one request for each. */
export async function keyRowsFrom(
  store: Pick<SoftKeyStore, 'keyStore' | 'ceremony' | 'slots'> & { readonly further?: readonly CeremonyFile[] },
  pool: pg.Pool,
  curve: Curve,
  count: number,
): Promise<readonly WrappedKey[]> {
  const hsm = await open(store, store.slots[0]);
  try {
    const jobs = Array.from({ length: count }, () => generateJob(curve));
    const made = (await hsm.generateKeys(jobs)).map(value);
    const audit = openAuditLog(pool, { program: 'command', command: 'test', keyStore: store.keyStore });
    const events = made.map(({ key }) => ({ kind: 'key-generated' as const, ...key }));
    await audit.record(events, (rows) => insertKeys(asDriverDatabase(pool), made, rows));
    return made.map(({ key }) => key);
  } finally {
    await hsm.stop();
  }
}
