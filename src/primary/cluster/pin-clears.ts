import type pg from 'pg';
import { run } from './statement.ts';

/** An operator’s order that a PIN counter may be tried once more; see src/worker/pin-guard/clear-attempts.ts. */
export interface PinClear {
  readonly guardGroup: string;
  readonly tokenSerial: string;
  readonly tokenLabel: string;
  /** By the database’s clock. */
  readonly ageMs: number;
}

/** What was cleared not longer ago than this. No PIN has the version of the rows that say so. */
export async function recentPinClears(pool: pg.Pool, withinMs: number): Promise<readonly PinClear[]> {
  return await run<PinClear & pg.QueryResultRow>(
    pool,
    `select guard_group as "guardGroup", token_serial as "tokenSerial", token_label as "tokenLabel",
       (extract(epoch from now() - ended_at) * 1000)::float8 as "ageMs"
     from pin_attempt
     where pin_version = '\\x0000000000000000' and state = 'cleared' and ended_at > now() - $1 * interval '1 millisecond'`,
    [Math.ceil(withinMs)],
  );
}
