import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { FoundMethods } from '../worker/hsm/delivery/entrance.ts';
import type { CeremonyKey, KeyKind, KeyName, KeyPurpose } from '../worker/hsm/delivery/keys.ts';
import type { KeySource } from '../worker/hsm/delivery/origin.ts';
import type { Receipt, Received } from '../worker/hsm/delivery/stored-keys.ts';
import type { Transport } from '../worker/hsm/delivery/target.ts';
import type { Delivery } from '../worker/hsm/delivery/transport.ts';
import type { KeyFlaws } from '../worker/hsm/key-attributes.ts';
import type { TokenInfo } from '../worker/hsm/module.ts';
import type { KeyNames } from './keys.ts';
import type { PinRecord } from './log-in-once.ts';

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
  /** Attributes of each key that are not as they must be on a token of this purpose. */
  attributes: {
    ask: Exclude<KeyPurpose, 'rotation'>;
    answer: { readonly masterKey: KeyFlaws; readonly integrityKey: KeyFlaws };
  };
  /** Which of the keys can be wrapped for another token: both on the backup token, none elsewhere. */
  deliverable: { ask: undefined; answer: readonly KeyKind[] };
}

export interface MadeKey {
  readonly curve: Curve;
  readonly publicKey: string;
  readonly blob: Buffer;
}
