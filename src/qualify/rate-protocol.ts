import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';

/** What rates.ts and its threads say to each other. Handles are valid in this process only. */
export interface RateThreadData {
  readonly module: string;
  readonly slot: Uint8Array;
  readonly masterKey: Uint8Array;
  readonly method: WrapMethod;
}
export const rateKinds = ['generateAndWrap', 'unwrapSignDestroy', 'signKept'] as const;
export type RateKind = (typeof rateKinds)[number];

/** Asked: what to do and for how long. Answered: how often it was done, and in how many milliseconds. */
export interface RateQuestion {
  readonly curve: Curve;
  readonly kind: RateKind;
  readonly forMs: number;
}
export type RateAnswer = { readonly count: number; readonly ms: number } | { readonly failed: string };
