import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { DriverDatabase } from '../database.ts';
import type { FirstLogin, LoginOutcome } from '../hsm/login-guard.ts';
import type { TokenInfo } from '../hsm/module.ts';
import { aliveRenewalMs, claimAttempt, finishAttempt, readRows, renewAttempt, tellRefusal } from './attempt-rows.ts';
import { type Attempt, createConclude } from './conclude.ts';
import type { LocalResults } from './local-results.ts';
import { endLoginTurn } from './login-turn.ts';
import { pinVersion } from './pin-version.ts';
import type { KnownRefusals } from './refused-since.ts';
import { pinVerdict } from './verdict.ts';

/**
 * Lets the first login of this process through when the cluster's record allows it, and keeps the result: in the state
 * directory first, then in the database. Without a database there is no first login: it waits until the database answers.
 *
 * That the process that tries is alive is a column it renews, in database time, and not an advisory lock: a lock is lost
 * when the database fails over, lives for hours after a node lost its power, and does not pass a pooler. Who judges it
 * wrongly dead makes the PIN refused, which is the safe side, and a late success still counts.
 */
export interface PinGuard {
  readonly firstLogin: FirstLogin;
  /** What to ask before this process logs in again; undefined before its first login was allowed. */
  knownRefusals(): KnownRefusals | undefined;
  /** The token refused, in the middle of work, the PIN that this process logged in with. Never rejects. */
  refusedLater(detail: string): Promise<void>;
  /**
   * From now on no login is begun. Resolves when the one that is under way is concluded: a process that leaves before has
   * died while trying, and its PIN counts as refused. The caller says how long that may take.
   */
  stop(): Promise<void>;
}

export interface PinGuardOptions {
  readonly database: Pick<DriverDatabase, 'query' | 'persistently' | 'answers'>;
  readonly local: LocalResults;
  readonly slot: { readonly name: string; readonly pinGuardGroup?: string | undefined };
  readonly node: string;
  readonly instance: string;
  readonly log: Log;
}

const waitMs = 300;
/** How long a lost database is waited for in the start-up turn; the watchdog's limit for a start is 30 s. */
const databaseLimitMs = 15_000;
const noDatabase = 'a PIN is not tried for the first time without it';

export function createPinGuard({ database, local, slot, node, instance, log }: PinGuardOptions): PinGuard {
  const conclude = createConclude({ database, local, log });
  let latest: Attempt | undefined;
  let known: KnownRefusals | undefined;
  let concluded: Promise<void> = Promise.resolve();
  let stopped = false;

  async function prepare(token: TokenInfo, pin: Buffer): Promise<Attempt> {
    const guardGroup = slot.pinGuardGroup ?? (token.serial || token.label);
    const version = await pinVersion(guardGroup, pin);
    local.noteSlot({ slot: slot.name, guardGroup, tokenSerial: token.serial, tokenLabel: token.label });
    return {
      id: randomUUID(),
      key: { guardGroup, tokenSerial: token.serial, version },
      trier: { tokenLabel: token.label, node, slot: slot.name, instance },
      claimed: undefined,
      follows: undefined,
      begun: false,
      givenUp: false,
    };
  }

  /** Others wait behind this process for their turn on the token: not for ever. @throws DATABASE_UNREACHABLE */
  async function withDatabase(attempt: Attempt, work: () => Promise<void>): Promise<void> {
    const clock = new AbortController();
    const lost = async (): Promise<void> => {
      do await sleep(databaseLimitMs, undefined, { ref: false, signal: clock.signal });
      while (database.answers);
      attempt.givenUp = true;
      throw new CodedError('DATABASE_UNREACHABLE', noDatabase);
    };
    try {
      await Promise.race([database.persistently(work), lost()]);
    } finally {
      clock.abort();
    }
  }

  /** Returns when the login may be made; may be repeated. @throws PIN_REFUSED, PIN_NOT_TRIED */
  async function permit(attempt: Attempt, { flags, label, serial }: TokenInfo): Promise<void> {
    const { id, key, trier } = attempt;
    let told = '';
    for (;;) {
      const rows = await readRows(database, key.guardGroup, id);
      if (stopped) throw new Error('this process ends; no login is begun');
      // Before they are weighed: one that comes in between is a new one.
      known = local.known(key.guardGroup, key.version);
      const verdict = pinVerdict({
        ...key,
        flags,
        rows,
        local: local
          .read()
          .filter(({ guardGroup }) => guardGroup === key.guardGroup)
          .map((one) => ({ ...one, where: `slot ${one.slot}, ${one.at}` })),
        attempt: id,
      });
      switch (verdict.do) {
        case 'log in':
          // Another one's claim won over ours: nothing was written for this attempt.
          attempt.claimed = undefined;
          attempt.follows = verdict.follows;
          return;
        case 'try':
          return;
        case 'claim':
          if (attempt.givenUp) throw new CodedError('DATABASE_UNREACHABLE', noDatabase);
          // Before the row is written: whether a commit took place may never be known.
          if (verdict.instead?.attempt !== id) attempt.claimed = { before: verdict.instead?.state };
          await claimAttempt(database, key, trier, id, verdict.instead);
          break;
        case 'complete':
          await finishAttempt(database, key, trier, id, 'succeeded', 'written down by the node before');
          break;
        case 'tell refused': {
          const { refusal } = verdict;
          const of = { ...key, tokenSerial: refusal.tokenSerial };
          const by = { ...trier, tokenLabel: refusal.tokenLabel, slot: refusal.slot };
          await tellRefusal(database, of, by, refusal, `as the node wrote down: ${refusal.where}`);
          break;
        }
        case 'wait':
          if (told !== verdict.where)
            log.info({ where: verdict.where }, 'another process proves a PIN; waiting for it');
          told = verdict.where;
          await sleep(waitMs * (0.5 + Math.random()));
          break;
        case 'latch':
          throw new CodedError(verdict.code, `token “${label}” (${serial}): ${verdict.why}`);
        default:
          return verdict satisfies never;
      }
    }
  }

  async function run<Value>(
    attempt: Attempt,
    login: () => Promise<Value>,
    outcome: () => LoginOutcome,
  ): Promise<Value> {
    const renew = (): void => void renewAttempt(database, attempt.key.guardGroup, attempt.id).catch(() => {});
    const renewal = setInterval(() => attempt.claimed && renew(), aliveRenewalMs);
    let reason = '';
    attempt.begun = true;
    try {
      return await login();
    } catch (error) {
      reason = (error instanceof CodedError ? error.detail : String(error)).slice(0, 300);
      throw error;
    } finally {
      await conclude(attempt, outcome(), reason).finally(() => clearInterval(renewal));
    }
  }

  return {
    knownRefusals: () => known,
    async firstLogin(token, pin, login, outcome) {
      const attempt = await prepare(token, pin);
      latest = attempt;
      const end = Promise.withResolvers<void>();
      concluded = end.promise;
      try {
        await withDatabase(attempt, () => permit(attempt, token)).catch(async (error) => {
          await conclude(attempt, 'none', '');
          throw error;
        });
        return await run(attempt, login, outcome);
      } finally {
        end.resolve();
      }
    },
    async refusedLater(detail) {
      if (latest === undefined) return;
      // What the row says now is the word of this process, or of the one that it followed.
      const follows = latest.follows ?? latest.id;
      const attempt = { ...latest, id: randomUUID(), follows };
      concluded = conclude(attempt, 'refused', detail.slice(0, 300));
      await concluded;
      if (known !== undefined) endLoginTurn(known);
    },
    async stop() {
      stopped = true;
      // One that only waits for others, or for the database, has left nothing behind.
      if (latest?.claimed !== undefined || latest?.begun) await concluded;
    },
  };
}
