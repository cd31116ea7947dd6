import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { TokenInfo } from '../worker/hsm/module.ts';
import type { KeyNames } from './key-names.ts';
import type { OaepHash, TransportPublicKey } from './transport.ts';

/** What the coordinating process asks of a token's process, in the order of the ceremony. */
export interface TokenCalls {
  /** Loads the module, selects the token, logs in. Refuses a token that has keys of these labels. */
  open: { ask: { token: TokenConfiguration; names: KeyNames }; answer: TokenInfo };
  /** As `open`, after a failure: removes what this ceremony put there, and nothing else. */
  'clean-up': { ask: { token: TokenConfiguration; names: KeyNames }; answer: { removed: number } };
  transport: { ask: undefined; answer: Transport };
  /** On the origin: makes the two keys, wraps them for every target, destroys them. */
  distribute: { ask: readonly Transport[]; answer: readonly Delivery[] };
  /** Unwraps the two keys to stay, destroys the transport key. */
  receive: { ask: { delivery: Delivery; wrapMethod: WrapMethod }; answer: undefined };
  /** Which curves pass generate, wrap, unwrap, sign and verify under the new master key. */
  curves: { ask: undefined; answer: { works: readonly Curve[]; failures: readonly string[] } };
  make: { ask: Curve; answer: MadeKey };
  /** Opens a key made on another token and verifies a fresh signature against its public key. */
  prove: { ask: MadeKey; answer: undefined };
  hmac: { ask: Buffer; answer: Buffer };
  /** Tries what must be refused. */
  strictness: { ask: MadeKey; answer: undefined };
}

export interface Transport {
  readonly publicKey: TransportPublicKey;
  /** As read on the token that holds the private key. */
  readonly sha256: string;
  readonly hashes: readonly OaepHash[];
  /** Proven on this token, best first. */
  readonly wrapMethods: readonly WrapMethod[];
}

export interface Delivery {
  /** Of the transport key as read on the origin, where it wrapped. */
  readonly sha256: string;
  readonly hash: OaepHash;
  readonly masterKey: Buffer;
  readonly integrityKey: Buffer;
}

export interface MadeKey {
  readonly curve: Curve;
  readonly publicKey: string;
  readonly blob: Buffer;
}
