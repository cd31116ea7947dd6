import type pg from 'pg';
import { bossSchema } from './boss-schema.ts';
import type { QueueName } from './queues.ts';

/** One attempt at a job: a job that is taken over has the same id and another count. */
export interface Attempt {
  readonly queue: QueueName;
  readonly id: string;
  readonly retryCount: number;
}

/** The attempt is over: its time limit passed, its node was taken for dead, or somebody cancelled it. */
export class AttemptOver extends Error {
  override readonly name = 'AttemptOver';

  constructor({ queue, id, retryCount }: Attempt) {
    super(`attempt ${retryCount} of ${queue} ${id} is over; another one may be at work`);
  }
}

/**
 * For what a job changes: a CTE that is empty once the attempt is over, and that keeps its successor waiting until the
 * statement is done. A node that was paused in the middle wakes up and changes nothing. `$1`, `$2` and `$3` are the values
 * of `attemptValues`; use it as `exists (select from attempt)`.
 */
export const attemptFence = `attempt as materialized (
  select from ${bossSchema}.job where name = $1 and id = $2 and retry_count = $3 and state = 'active' for share)`;

export function attemptValues({ queue, id, retryCount }: Attempt): readonly [string, string, number] {
  return [queue, id, retryCount];
}

/**
 * One fenced statement.
 * @param text begins after `with attempt …`: further CTEs begin with a comma. Its values are `$4` and on; it must hold
 * `exists (select from attempt)`.
 * @returns the rows of the statement.
 * @throws AttemptOver when the attempt is over.
 */
export async function writeUnder<Row extends pg.QueryResultRow>(
  database: pg.Pool | pg.PoolClient,
  attempt: Attempt,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const all = [...attemptValues(attempt), ...values];
  const { rows } = await database.query<Row>(`with ${attemptFence} ${text}`, all);
  if (rows.length === 0 && !(await isLive(database, attempt))) throw new AttemptOver(attempt);
  return rows;
}

async function isLive(database: pg.Pool | pg.PoolClient, attempt: Attempt): Promise<boolean> {
  const { rows } = await database.query(`with ${attemptFence} select from attempt`, [...attemptValues(attempt)]);
  return rows.length > 0;
}
