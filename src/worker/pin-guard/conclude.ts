import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';
import type { DriverDatabase } from '../database.ts';
import type { LoginOutcome } from '../hsm/login-guard.ts';
import { confirmSuccess, finishAttempt, type PinKey, type Trier, withdrawAttempt } from './attempt-rows.ts';
import type { LocalResults } from './local-results.ts';
import type { PinRow } from './verdict.ts';

/** This process's attempt. */
export interface Attempt {
  readonly id: string;
  readonly key: PinKey;
  readonly trier: Trier;
  /** Whether `trying` was written for it, and in place of what: not for a PIN that has opened this token before. */
  claimed: { readonly before: PinRow['state'] | undefined } | undefined;
  /** The attempt of the row that says `succeeded`, where this one was made on its word. */
  follows: string | undefined;
  /** C_Login may have been called. */
  begun: boolean;
  /** Nobody waits for it any more: it must not be claimed. */
  givenUp: boolean;
}

export interface ConcludeOptions {
  readonly database: Pick<DriverDatabase, 'query' | 'persistently'>;
  readonly local: LocalResults;
  readonly log: Log;
}

/** How long a refusal may take to reach the database; the state directory has it by then. */
const refusalLimitMs = 1_500;

/** Keeps how an attempt ended: in the state directory first, then in the database. */
export type Conclude = (attempt: Attempt, outcome: LoginOutcome, reason: string) => Promise<void>;

export function createConclude({ database, local, log }: ConcludeOptions): Conclude {
  /** `reason` reaches people: what the token answered, never the PIN. */
  async function conclude(attempt: Attempt, outcome: LoginOutcome, reason: string): Promise<void> {
    const { id, key, trier, claimed } = attempt;
    switch (outcome) {
      case 'succeeded':
        if (claimed !== undefined) return await keep(attempt, 'succeeded', '');
        return await bounded(confirmSuccess(database, key));
      case 'refused':
        return await bounded(keep(attempt, 'refused', reason));
      case 'uncertain':
        if (claimed === undefined) return;
        // A second time without a clear answer is enough: the token may count what it does not say.
        if (claimed.before === 'uncertain') return await bounded(keep(attempt, 'refused', `twice unclear: ${reason}`));
        return await bounded(database.persistently(() => finishAttempt(database, key, trier, id, 'uncertain', reason)));
      case 'none':
      case 'already logged in':
        if (claimed === undefined) return;
        return await bounded(
          database.persistently(() => withdrawAttempt(database, key.guardGroup, id, claimed.before)),
        );
      default:
        return outcome satisfies never;
    }
  }

  async function keep(
    { id, key, trier, follows }: Attempt,
    state: 'refused' | 'succeeded',
    reason: string,
  ): Promise<void> {
    try {
      local.write({ ...key, tokenLabel: trier.tokenLabel, slot: trier.slot, attempt: id, follows, state });
    } catch (error) {
      // The database must know all the more.
      log.error({ cause: (error as Error).message }, 'result of a login not written to the state directory');
    }
    await database.persistently(() => finishAttempt(database, key, trier, id, state, reason));
  }

  async function bounded(work: Promise<void>): Promise<void> {
    const failed = work.catch((error: Error) => log.warn({ cause: error.message }, 'result of a login not stored'));
    await Promise.race([failed, sleep(refusalLimitMs, undefined, { ref: false })]);
  }

  return conclude;
}
