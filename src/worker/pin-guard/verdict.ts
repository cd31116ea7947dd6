import { pinState } from '../hsm/pin-state.ts';

/**
 * Whether a PIN may be tried on a token now: the one place that decides it, from what is written down.
 *
 *   state of a PIN on a token       means                                            the next process
 *   (no row)                        never tried                                      tries, alone in the guard group
 *   trying                          a process is about to log in, or does            waits; once that one is dead: refused
 *   succeeded                       it opened this token                             logs in without asking more
 *   refused                         the token said no, or the process died trying    never again, in the whole group
 *   uncertain                       C_Login answered something else, once            tries once more
 *   cleared                         an operator allows one more try                  tries, alone in the guard group
 */
export interface PinRow {
  readonly tokenSerial: string;
  readonly version: string;
  readonly state: 'trying' | 'refused' | 'succeeded' | 'uncertain' | 'cleared';
  readonly attempt: string;
  /** `trying`: its process said so within the last seconds. */
  readonly alive: boolean;
  /** Milliseconds since 1970 by the database's clock; when it began, while it is not over. */
  readonly endedAtMs: number;
  /** Where and when, for people. */
  readonly where: string;
}

/** What this node wrote down for itself. */
export interface LocalResult {
  readonly tokenSerial: string;
  readonly version: string;
  readonly state: 'refused' | 'succeeded';
  readonly attempt: string;
  /** The attempt of the row, then `succeeded`, on whose word a refused login was made. */
  readonly follows?: string | undefined;
  readonly tokenLabel: string;
  readonly slot: string;
  readonly where: string;
}

export interface PinFacts {
  readonly tokenSerial: string;
  readonly version: string;
  /** Flags of CK_TOKEN_INFO. */
  readonly flags: number;
  /** Of the whole guard group, in the database and on this node. */
  readonly rows: readonly PinRow[];
  readonly local: readonly LocalResult[];
  /** The id of this process's attempt: its own row is no obstacle. */
  readonly attempt: string;
}

export type PinVerdict =
  /** It has opened this token before, says that attempt. */
  | { readonly do: 'log in'; readonly follows: string }
  /** Write `trying` in place of what was read, then log in. */
  | { readonly do: 'claim'; readonly instead: PinRow | undefined }
  /** Written already, by this process. */
  | { readonly do: 'try' }
  /** A login of this node succeeded, and its end did not reach the database. */
  | { readonly do: 'complete' }
  /** A login of this node was refused, and the database still says that the PIN opens the token. */
  | { readonly do: 'tell refused'; readonly refusal: LocalResult }
  | { readonly do: 'wait'; readonly where: string }
  | { readonly do: 'latch'; readonly code: 'PIN_REFUSED' | 'PIN_NOT_TRIED'; readonly why: string };

export function pinVerdict({ tokenSerial, version, flags, rows, local, attempt }: PinFacts): PinVerdict {
  const here = rows.find((row) => row.tokenSerial === tokenSerial && row.version === version);
  if (here?.attempt === attempt && here.state === 'trying') return { do: 'try' };
  const state = pinState(flags);
  if (state === 'locked') return notTried('the token is locked after wrong PINs');
  if (state === 'final try') return notTried('the token would lock at the next wrong PIN');
  if (here !== undefined && here.state !== 'succeeded' && here.state !== 'cleared' && finished(here, local)) {
    return { do: 'complete' };
  }
  const of = <One extends { readonly version: string }>(list: readonly One[]): One[] =>
    list.filter((one) => one.version === version);
  // Its own row, ended by others while this process was too slow to try: no login was made, so it may go on.
  const refused = of(rows).find((row) => row.state === 'refused' && row.attempt !== attempt);
  if (refused !== undefined) return latched(refused.where);
  const dead = of(rows).find((row) => row.state === 'trying' && !row.alive && row.attempt !== attempt);
  if (dead !== undefined) return latched(`the process that tried it died while trying, ${dead.where}`);
  const remembered = of(local).find((one) => one.state === 'refused' && stillHolds(one, rows));
  // First the cluster's record, so that an operator's order on any node can undo it.
  if (remembered !== undefined && isUntold(remembered, rows)) return { do: 'tell refused', refusal: remembered };
  if (remembered !== undefined) return latched(`${remembered.where}, as this node wrote down`);
  if (here?.state === 'succeeded') return { do: 'log in', follows: here.attempt };
  const trying = rows.find((row) => row.state === 'trying' && row.alive);
  if (trying !== undefined) return { do: 'wait', where: trying.where };
  if (state === 'count low' && !isExplained(rows, local)) {
    return notTried('somebody else tried a wrong PIN on the token, and this PIN never opened it yet');
  }
  return { do: 'claim', instead: here };
}

/**
 * The flag stays until a right login: a PIN that we know was refused, or an operator, accounts for it, if that was after
 * the latest login that succeeded.
 */
function isExplained(rows: readonly PinRow[], local: readonly LocalResult[]): boolean {
  const succeeded = rows.filter(({ state }) => state === 'succeeded').map(({ endedAtMs }) => endedAtMs);
  if (succeeded.length === 0 && local.some((one) => one.state === 'refused')) return true;
  const latest = Math.max(0, ...succeeded);
  return rows.some(({ state, endedAtMs }) => (state === 'refused' || state === 'cleared') && endedAtMs > latest);
}

/**
 * The database knows of it, or nothing at all (it was restored), or it was lost before it could be told: only an
 * operator's order leads away from a refusal.
 */
function stillHolds(refusal: LocalResult, rows: readonly PinRow[]): boolean {
  const row = rowOf(refusal, rows);
  return row === undefined || (row.attempt === refusal.attempt && row.state !== 'cleared') || isUntold(refusal, rows);
}

/** The row that the login followed is there as it was. */
function isUntold(refusal: LocalResult, rows: readonly PinRow[]): boolean {
  const row = rowOf(refusal, rows);
  return row?.state === 'succeeded' && row.attempt === refusal.follows;
}

function rowOf({ tokenSerial, version }: LocalResult, rows: readonly PinRow[]): PinRow | undefined {
  return rows.find((one) => one.tokenSerial === tokenSerial && one.version === version);
}

function finished(row: PinRow, local: readonly LocalResult[]): boolean {
  return local.some((one) => one.state === 'succeeded' && one.attempt === row.attempt && one.version === row.version);
}

function latched(why: string): PinVerdict {
  return { do: 'latch', code: 'PIN_REFUSED', why };
}

function notTried(why: string): PinVerdict {
  return { do: 'latch', code: 'PIN_NOT_TRIED', why };
}
