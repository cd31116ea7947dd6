import type { OutcomeResult } from '../../shared/driver-protocol.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import type { HsmFailure } from '../hsm/jobs.ts';
import type { FoundKey } from '../key-store.ts';
import type { Doubt, Refusal } from '../policy/refusal.ts';

/**
 * A kind of request as work: first what needs the HSM, then what makes the result durable. Both answer each item by
 * itself, in the order they were given: a list of the same length is what makes "every request ends in exactly one
 * outcome" hold by construction. A rejection speaks for the whole list (src/worker/one-by-one.ts finds out for whom).
 */
export interface Job<Request, Made> {
  /** `Sign` requests with 40 digests weigh 40. */
  weight(request: Request): number;
  make(requests: readonly Request[]): Promise<readonly Step<Made>[]>;
  keep(made: readonly Made[]): Promise<readonly Ending[]>;
}

/** `given back`: no outcome; the request is no longer held and another instance gets it. */
export type Ending = OutcomeResult | 'given back';

export type Step<Made> =
  | { readonly step: 'made'; readonly made: Made }
  | { readonly step: 'ended'; readonly ending: Ending }
  /** The HSM did not do it; what that says about the device is judged before it is answered. */
  | { readonly step: 'failed'; readonly failure: HsmFailure };

export function ended(ending: Ending): Extract<Step<never>, { step: 'ended' }> {
  return { step: 'ended', ending };
}

/** An error outcome. `message` reaches the application's operator: it names things, never secrets. */
export function errorOutcome(code: ErrorCode, message: string, retryable: boolean): OutcomeResult {
  return { kind: 'Error', code, message: message.slice(0, 1000), retryable };
}

/** A request that the key store's policy keeps from the HSM: for good, or on this node. */
export function refused(refusal: Refusal | Doubt): Step<never> {
  return ended('doubted' in refusal ? 'given back' : refusedOutcome(refusal));
}

export function refusedOutcome({ refused: code, detail }: Refusal): OutcomeResult {
  return errorOutcome(code, detail, false);
}

/** What a key that cannot be used means for the request that needs it. */
export function stepWithoutKey(found: Exclude<FoundKey, { found: 'key' }>, keyId: string): Step<never> {
  switch (found.found) {
    case 'changed':
      return ended(errorOutcome('KEY_UNUSABLE', `the tag of key ${keyId} does not hold`, false));
    case 'unchecked':
      return { step: 'failed', failure: found.failure };
    default:
      throw new Error(`unknown: ${found satisfies never}`);
  }
}
