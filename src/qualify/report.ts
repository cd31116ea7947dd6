import type { ErrorCode } from '../shared/errors.ts';
import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { AttackFacts, Rates, SessionFacts, TokenFacts, WrapFacts } from './calls.ts';
import type { Verdict } from './verdict.ts';

/** What `hsm-driver qualify --json` prints: fields are added, never renamed. Times in milliseconds, rates per second. */
export interface Report {
  readonly at: string;
  readonly keyStore: string;
  readonly slots: readonly SlotReport[];
  readonly portability: readonly Portability[];
}

export interface SlotReport extends TokenFacts {
  readonly name: string;
  readonly module: string;
  readonly wraps: WrapFacts;
  /** The method that the rest was done with. */
  readonly method?: WrapMethod;
  readonly attacks?: AttackFacts;
  readonly sessions: SessionFacts;
  /** From the start of a new process to its first verified signature. */
  readonly reconnectMs: number;
  readonly rates: readonly Rates[];
  readonly identity: Identity;
  readonly verdict: Verdict;
}

export type Identity =
  | { readonly state: 'proven'; readonly masterKeyId: string; readonly curves: readonly Curve[] }
  | { readonly state: 'not proven'; readonly masterKeyId: string; readonly code: ErrorCode; readonly why: string }
  | { readonly state: 'not checked'; readonly why: string };

/** A key made on one slot, opened on the other. */
export interface Portability {
  readonly from: string;
  readonly to: string;
  readonly curve: Curve;
  readonly portable: boolean;
  readonly why?: string;
}
