import { lengthPrefixed } from '../shared/crypto/length-prefixed.ts';
import type { KeyType } from '../shared/keys.ts';

/**
 * A row of the driver database's `wrapped_key` table: a wallet key as the driver keeps it. `tag` is the HMAC of every
 * other member, made in the HSM by the integrity key, so that a writer in the database cannot swap blobs, owners or
 * states. It is checked whenever a row enters a worker's memory.
 */
export interface WrappedKey {
  readonly keyId: string;
  /** The GenerateKey request that made it; unique, never trimmed. */
  readonly requestId: string;
  readonly keyStore: string;
  readonly organisation: string;
  readonly type: KeyType;
  /** Hex, as in src/shared/keys.ts. */
  readonly publicKey: string;
  /** The private key wrapped by the master key. */
  readonly blob: Buffer;
  readonly wrapAlgorithm: string;
  readonly wrapMechanism: number;
  readonly masterKeyId: string;
  readonly integrityKeyId: string;
  /** What the key may sign: request kinds of the application API; empty = all. */
  readonly allowedKinds: readonly string[];
  readonly status: 'active' | 'broken' | 'deleted';
  readonly tag: Buffer;
}

/** The bytes that the tag authenticates. Adding a field needs a new version word here. */
export function tagMessage(key: Omit<WrappedKey, 'tag'>): Buffer {
  return lengthPrefixed([
    'hsm-driver wrapped key v1',
    key.keyStore,
    key.organisation,
    key.keyId,
    key.requestId,
    key.type.scheme,
    key.type.curve,
    Buffer.from(key.publicKey, 'hex'),
    key.blob,
    key.wrapAlgorithm,
    String(key.wrapMechanism),
    key.masterKeyId,
    key.integrityKeyId,
    key.allowedKinds.join(','),
    key.status,
  ]);
}
