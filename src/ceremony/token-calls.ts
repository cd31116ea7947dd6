import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { TokenInfo } from '../worker/hsm/module.ts';
import type { FoundMethods } from './entrance.ts';
import type { CeremonyKey, KeyKind, KeyName, KeyNames, KeyPurpose } from './keys.ts';
import type { PinRecord } from './log-in-once.ts';
import type { OaepHash, TransportPublicKey } from './transport.ts';

/** What the coordinating process asks of a token's process (token-process.ts). */
export interface TokenCalls {
  /** Loads the module, selects the token, logs in where the record of PINs allows it. */
  open: { ask: { token: TokenConfiguration; record: PinRecord }; answer: TokenInfo };
  /** @throws CEREMONY_REFUSED when the token has objects with these labels or ids. */
  'refuse-taken': { ask: readonly CeremonyKey[]; answer: undefined };
  /** Removes the objects with these CKA_IDs, and nothing else. */
  'clean-up': { ask: readonly CeremonyKey[]; answer: { removed: number } };

  // Delivery (deliver.ts).
  /** On a target: makes its transport key and finds out what the token can do. */
  transport: { ask: undefined; answer: Transport };
  /** On the origin: takes in the targets' transport keys. Answers their SHA-256 as read there. */
  'import-transports': { ask: readonly Transport[]; answer: readonly string[] };
  /** On the origin: wraps the keys for every transport key taken in, and lets go of those. */
  distribute: { ask: { keys: readonly CeremonyKey[]; source: KeySource }; answer: readonly Delivery[] };
  /** On a target: unwraps the keys to stay, destroys the transport key. */
  receive: { ask: Receipt; answer: Received };

  /** On a token that has its keys already: what else it can do. */
  'wrap-methods': { ask: undefined; answer: FoundMethods };

  // With the keys on the token.
  /** Finds them by label and id, as every worker will. @throws MASTER_KEY_… */
  use: { ask: { names: KeyNames; wrapMethod: WrapMethod }; answer: undefined };
  /** Which curves pass generate, wrap, unwrap, sign and verify under the master key. */
  curves: { ask: undefined; answer: { works: readonly Curve[]; failures: readonly string[] } };
  make: { ask: Curve; answer: MadeKey };
  /** Opens a key made on another token and verifies a fresh signature against its public key. */
  prove: { ask: MadeKey; answer: undefined };
  /**
   * On the rotation token: opens a key by an older master key that may only open keys for others to wrap, and wraps it by
   * the one in use.
   */
  rewrap: { ask: { name: KeyName; wrapMethod: WrapMethod; key: MadeKey }; answer: MadeKey };
  hmac: { ask: Buffer; answer: Buffer };
  /** Tries what must be refused. Answers what the token allows. */
  strictness: { ask: MadeKey; answer: readonly string[] };
  /** Attributes (CKA_…) of the master key that are not as they must be on a signing token. */
  attributes: { ask: undefined; answer: readonly string[] };
  /** Which of the keys can be wrapped for another token: both on the backup token, none elsewhere. */
  deliverable: { ask: undefined; answer: readonly KeyKind[] };
}

/** `new`: made as session objects and destroyed once they are wrapped. `stored`: what the backup token keeps. */
export type KeySource = 'new' | 'stored';

export interface Transport {
  readonly publicKey: TransportPublicKey;
  /** As read on the token that holds the private key. */
  readonly sha256: string;
  readonly hashes: readonly OaepHash[];
  /** Proven on this token, best first. */
  readonly wrapMethods: readonly WrapMethod[];
}

export interface Delivery {
  readonly hash: OaepHash;
  /** In the order of the keys that were asked for. */
  readonly blobs: readonly Buffer[];
}

export interface Receipt {
  readonly delivery: Delivery;
  readonly keys: readonly CeremonyKey[];
  readonly purpose: KeyPurpose;
  /** How the master key will wrap. */
  readonly wrapMethod: WrapMethod;
  /** Whether the token may leave out attributes that it does not know. */
  readonly allowTierB: boolean;
}

export interface Received {
  /** Attributes of the master key's template that the token did not take; only where it may. */
  readonly notTaken: readonly string[];
}

export interface MadeKey {
  readonly curve: Curve;
  readonly publicKey: string;
  readonly blob: Buffer;
}
