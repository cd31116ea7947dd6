import type pg from 'pg';

/**
 * Runs `work` in one transaction. A connection whose transaction failed is closed: that rolls back whatever state it is in.
 * @param work may commit by itself, as its last statement, where it has to know that it is done.
 */
export async function inTransaction<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient, commit: () => Promise<void>) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  let committed = false;
  const commit = async (): Promise<void> => {
    await client.query('commit');
    committed = true;
  };
  try {
    await client.query('begin');
    const result = await work(client, commit);
    if (!committed) await commit();
    return result;
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}
