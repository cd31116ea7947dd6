import type { PinRecord } from '../ceremony/log-in-once.ts';
import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { Attack } from '../worker/hsm/attacks/attacks.ts';
import type { LibraryInfo, TokenInfo } from '../worker/hsm/module.ts';
import type { P384Facts } from '../worker/hsm/p384.ts';
import type { ProbedCurve } from '../worker/hsm/probe.ts';

/** What the coordinating process asks of a slot's process (token-process.ts), in the order of the report. */
export interface QualifyCalls {
  /** The one login of this process. */
  open: { ask: { slot: TokenConfiguration; record: PinRecord }; answer: TokenFacts };
  /** Makes a key, signs, verifies: all that a new process needs to be at work. */
  'first-signature': { ask: undefined; answer: undefined };
  /** Every curve under every wrap method, on a throw-away key. */
  wraps: { ask: undefined; answer: WrapFacts };
  /** Makes the throw-away key with the master key's template, and tries every attack on it. */
  attacks: { ask: { method: WrapMethod; curves: readonly Curve[] }; answer: AttackFacts };
  sessions: { ask: undefined; answer: SessionFacts };
  /** On the throw-away key of `attacks`. */
  rates: {
    ask: { method: WrapMethod; curves: readonly Curve[]; threadCounts: readonly number[] };
    answer: readonly Rates[];
  };
  /**
   * Under the method that the ceremony pinned.
   * @throws MASTER_KEY_… when the slot does not hold the key store's keys, HSM_UNFIT when it can do no curve under it.
   */
  identity: { ask: CeremonyFile; answer: readonly Curve[] };
  /** For the cross-canary: a key made under the master key, and opened under it. After `identity`. */
  make: { ask: Curve; answer: MadeBlob };
  prove: { ask: MadeBlob; answer: undefined };
}

export interface TokenFacts {
  readonly library: LibraryInfo;
  readonly token: Omit<TokenInfo, 'flags'>;
  /** CKM_… numbers as the token lists them. */
  readonly mechanisms: readonly number[];
}

export interface WrapFacts {
  readonly rows: readonly ProbedCurve[];
  /** Methods that OpenSSL confirms to be what they are called; or why a known secret could not be brought in. */
  readonly confirmed: readonly WrapMethod[] | { readonly refusal: string };
  /** HMAC-SHA-256, which authenticates rows. */
  readonly hmac: boolean;
}

export interface AttackFacts {
  /** On the same key. */
  readonly p384: P384Facts;
  /** Attributes of the master key's template that the token did not take. */
  readonly notTaken: readonly string[];
  /** The round trip of each curve again, with a master key of that template. */
  readonly underTemplate: readonly ProbedCurve[];
  /** Refused is what was refused with the blobs of every curve. */
  readonly attacks: readonly Attack[];
}

export interface SessionFacts {
  /** Open at once, the first one included. */
  readonly opened: number;
  /** What refused the next one; absent when the bound was reached. */
  readonly refusal?: string;
}

/** Per second, over all threads. */
export interface Rates {
  readonly curve: Curve;
  readonly threads: number;
  readonly generateAndWrap: number;
  readonly unwrapSignDestroy: number;
  readonly signKept: number;
}

export interface MadeBlob {
  readonly curve: Curve;
  readonly publicKey: string;
  readonly blob: Uint8Array;
}
