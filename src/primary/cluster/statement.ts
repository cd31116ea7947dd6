import type pg from 'pg';

/** Which primary of the cluster this is. */
export interface Self {
  readonly node: string;
  /** New at each start of the primary. */
  readonly instance: string;
  readonly version: string;
}

/**
 * A statement to the cluster's tables. Without an answer for this long it was sent into nothing: well below the leader's
 * lease, so that a leader whose database is gone knows that it leads no more before another one can.
 */
const queryTimeoutMs = 1_000;

export const clusterPool = { max: 2, durability: 'relaxed', connectTimeoutMs: queryTimeoutMs } as const;

export async function run<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  text: string,
  values: readonly unknown[],
): Promise<Row[]> {
  // pg's types do not know the option that its client reads.
  const query = { text, values: [...values], query_timeout: queryTimeoutMs };
  return (await pool.query<Row>(query)).rows;
}
