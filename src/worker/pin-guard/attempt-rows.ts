import type { DriverDatabase, Statement } from '../database.ts';
import type { LocalResult, PinRow } from './verdict.ts';

/** The statements on `pin_attempt`, one function each. Times are the database's own. */

export interface PinKey {
  readonly guardGroup: string;
  readonly tokenSerial: string;
  readonly version: string;
}

/** Who tries, for people and for the cluster. */
export interface Trier {
  readonly tokenLabel: string;
  readonly node: string;
  readonly slot: string;
  readonly instance: string;
}

/** How long `trying` counts as alive after its process said so. Longer than a main thread may be busy. */
const aliveSeconds = 10;
/** How often that process says so. */
export const aliveRenewalMs = 2_000;

type Query = Pick<DriverDatabase, 'query'>;

const expire: Statement = {
  name: 'worker_pin_expire',
  text: `update pin_attempt set state = 'refused', ended_at = now(), reason = 'the process that tried it died while trying'
    where guard_group = $1 and state = 'trying' and alive_until < now() and attempt <> $2`,
};

const select: Statement = {
  name: 'worker_pin_rows',
  text: `select token_serial, encode(pin_version, 'hex') as pin_version, state, attempt, alive_until >= now() as alive,
      extract(epoch from coalesce(ended_at, started_at))::float8 * 1000 as "endedAtMs",
      concat_ws(', ', 'node ' || node, 'slot ' || slot, to_char(coalesce(ended_at, started_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), nullif(reason, '')) as "where"
    from pin_attempt where guard_group = $1`,
};

/** What is known in a guard group. An attempt whose process is dead is written down as refused first. */
export async function readRows(database: Query, guardGroup: string, attempt: string): Promise<PinRow[]> {
  await database.query(expire, [guardGroup, attempt]);
  const rows = await database.query<{
    token_serial: string;
    pin_version: string;
    state: PinRow['state'];
    attempt: string;
    alive: boolean;
    endedAtMs: number;
    where: string;
  }>(select, [guardGroup]);
  return rows.map(({ token_serial, pin_version, ...row }) => ({
    tokenSerial: token_serial,
    version: pin_version,
    ...row,
  }));
}

/** Only in place of the row that was read: two processes that decide at once do not both go on. */
const claim: Statement = {
  name: 'worker_pin_claim',
  text: `insert into pin_attempt
      (guard_group, token_serial, pin_version, state, attempt, token_label, node, slot, instance, alive_until)
    values ($1, $2, decode($3, 'hex'), 'trying', $4, $5, $6, $7, $8, now() + make_interval(secs => ${aliveSeconds}))
    on conflict (guard_group, token_serial, pin_version) do update set state = 'trying', attempt = excluded.attempt,
      token_label = excluded.token_label, node = excluded.node, slot = excluded.slot, instance = excluded.instance,
      started_at = now(), alive_until = excluded.alive_until, ended_at = null, reason = ''
    where pin_attempt.attempt = $9::uuid and pin_attempt.state = $10::text
    returning attempt`,
};

/** @returns whether `trying` is written and committed in our name. False: something changed; read again. */
export async function claimAttempt(
  database: Query,
  key: PinKey,
  trier: Trier,
  attempt: string,
  instead: PinRow | undefined,
): Promise<boolean> {
  const { guardGroup, tokenSerial, version } = key;
  const { tokenLabel, node, slot, instance } = trier;
  const values = [guardGroup, tokenSerial, version, attempt, tokenLabel, node, slot, instance];
  try {
    const rows = await database.query(claim, [...values, instead?.attempt ?? null, instead?.state ?? null]);
    return rows.length === 1;
  } catch (error) {
    // Another attempt of the group is at work: pin_attempt_one_at_a_time.
    if ((error as { code?: unknown }).code === '23505') return false;
    throw error;
  }
}

const renew: Statement = {
  name: 'worker_pin_renew',
  text: `update pin_attempt set alive_until = now() + make_interval(secs => ${aliveSeconds})
    where guard_group = $1 and attempt = $2 and state = 'trying'`,
};

export async function renewAttempt(database: Query, guardGroup: string, attempt: string): Promise<void> {
  await database.query(renew, [guardGroup, attempt]);
}

/** A result is a fact about the PIN: it stands whatever others wrote while it was on its way. */
const finish: Statement = {
  name: 'worker_pin_finish',
  text: `insert into pin_attempt
      (guard_group, token_serial, pin_version, state, attempt, token_label, node, slot, instance, ended_at, reason)
    values ($1, $2, decode($3, 'hex'), $9, $4, $5, $6, $7, $8, now(), $10)
    on conflict (guard_group, token_serial, pin_version) do update set state = excluded.state, attempt = excluded.attempt,
      token_label = excluded.token_label, node = excluded.node, slot = excluded.slot, instance = excluded.instance,
      ended_at = now(), reason = excluded.reason`,
};

export async function finishAttempt(
  database: Query,
  { guardGroup, tokenSerial, version }: PinKey,
  { tokenLabel, node, slot, instance }: Trier,
  attempt: string,
  state: 'refused' | 'succeeded' | 'uncertain',
  reason: string,
): Promise<void> {
  const values = [guardGroup, tokenSerial, version, attempt, tokenLabel, node, slot, instance, state, reason];
  await database.query(finish, values);
}

/** Not over what others wrote since: it is known late, and its PIN may have been cleared and tried again. */
const tellLate: Statement = {
  name: 'worker_pin_tell_late',
  text: `update pin_attempt set state = 'refused', attempt = $4, token_label = $5, node = $6, slot = $7, instance = $8,
      ended_at = now(), reason = $9
    where guard_group = $1 and token_serial = $2 and pin_version = decode($3, 'hex') and state = 'succeeded'
      and attempt = $10`,
};

/** A refusal that this node wrote down, in place of the success that it followed. */
export async function tellRefusal(
  database: Query,
  { guardGroup, tokenSerial, version }: PinKey,
  { tokenLabel, node, slot, instance }: Trier,
  { attempt, follows }: Pick<LocalResult, 'attempt' | 'follows'>,
  reason: string,
): Promise<void> {
  const values = [guardGroup, tokenSerial, version, attempt, tokenLabel, node, slot, instance, reason, follows];
  await database.query(tellLate, values);
}

const confirm: Statement = {
  name: 'worker_pin_confirm',
  text: `update pin_attempt set ended_at = now()
    where guard_group = $1 and token_serial = $2 and pin_version = decode($3, 'hex') and state = 'succeeded'`,
};

/** It opened the token again: whatever was wrong with the counter before is history. */
export async function confirmSuccess(database: Query, { guardGroup, tokenSerial, version }: PinKey): Promise<void> {
  await database.query(confirm, [guardGroup, tokenSerial, version]);
}

const forget: Statement = {
  name: 'worker_pin_forget',
  text: "delete from pin_attempt where guard_group = $1 and attempt = $2 and state = 'trying' and $3::text is null",
};
const restore: Statement = {
  name: 'worker_pin_restore',
  text: "update pin_attempt set state = $3, ended_at = now() where guard_group = $1 and attempt = $2 and state = 'trying'",
};

/** No login was made: back to what was there before. */
export async function withdrawAttempt(
  database: Query,
  guardGroup: string,
  attempt: string,
  before: PinRow['state'] | undefined,
): Promise<void> {
  if (before === undefined) await database.query(forget, [guardGroup, attempt, null]);
  else await database.query(restore, [guardGroup, attempt, before]);
}
