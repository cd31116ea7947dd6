import type pg from 'pg';

/** What an operator's order would undo, or undid. */
export interface ClearedAttempt {
  readonly tokenSerial: string;
  readonly tokenLabel: string;
  readonly state: string;
  readonly reason: string;
  readonly where: string;
}

/** An attempt whose process is gone counts as refused, so it is cleared too; one that is at work is left alone. */
const stopsLogins = "(state in ('refused', 'uncertain') or (state = 'trying' and alive_until < now()))";

export async function readRefusals(pool: pg.Pool, guardGroup: string): Promise<ClearedAttempt[]> {
  const { rows } = await pool.query<ClearedAttempt>(
    `select token_serial as "tokenSerial", token_label as "tokenLabel", state, reason,
      'node ' || node || ', slot ' || slot || ', ' || coalesce(ended_at, started_at) as "where"
    from pin_attempt where guard_group = $1 and ${stopsLogins} order by started_at`,
    [guardGroup],
  );
  return rows;
}

/**
 * Each PIN of the group may be tried once more, also while the counter is low: the row of version 0 says that an operator
 * accounts for it (no PIN has that version).
 */
export async function clearAttempts(
  client: Pick<pg.ClientBase, 'query'>,
  { guardGroup, tokenSerial, tokenLabel, node, slot }: ClearOrder,
): Promise<void> {
  await client.query(
    `with cleared as (
      update pin_attempt set state = 'cleared', ended_at = now(), reason = 'cleared by an operator'
      where guard_group = $1 and ${stopsLogins}
    )
    insert into pin_attempt (guard_group, token_serial, pin_version, state, attempt, token_label, node, slot, instance, ended_at, reason)
    values ($1, $2, '\\x0000000000000000', 'cleared', gen_random_uuid(), $3, $4, $5, gen_random_uuid(), now(), 'cleared by an operator')
    on conflict (guard_group, token_serial, pin_version) do update
      set node = excluded.node, slot = excluded.slot, ended_at = excluded.ended_at`,
    [guardGroup, tokenSerial, tokenLabel, node, slot],
  );
}

export interface ClearOrder {
  readonly guardGroup: string;
  readonly tokenSerial: string;
  readonly tokenLabel: string;
  readonly node: string;
  readonly slot: string;
}
