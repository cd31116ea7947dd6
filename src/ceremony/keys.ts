import { randomBytes } from 'node:crypto';
import type { CeremonyFile } from '../shared/ceremony-file.ts';

/** How one ceremony's two keys are called on the tokens: CKA_LABEL, and a CKA_ID (hex) no other ceremony has. */
export interface KeyNames {
  readonly masterKey: KeyName;
  readonly integrityKey: KeyName;
}
export type KeyName = Pick<CeremonyFile['masterKey'], 'label' | 'ckaId'>;

export type KeyKind = 'master key' | 'integrity key';

/** One key that a delivery carries from token to token. */
export interface CeremonyKey extends KeyName {
  readonly kind: KeyKind;
}

/**
 * What a token holds its copies for:
 *
 *   signing   not extractable; what the master key unwraps is not extractable either
 *   backup    extractable (wrapped by another token's transport key, never in the clear): the only such copy. Offline
 *   rotation  not extractable; what the master key unwraps is extractable, to be wrapped by the next master key. On a
 *             token of its own, never on a signing token
 */
export type KeyPurpose = 'signing' | 'backup' | 'rotation';

export function createKeyNames(keyStore: string): KeyNames {
  return {
    masterKey: { label: `${keyStore} master key`, ckaId: randomBytes(16).toString('hex') },
    integrityKey: { label: `${keyStore} integrity key`, ckaId: randomBytes(16).toString('hex') },
  };
}

/** Both keys, in the order in which they are delivered. */
export function bothKeys({ masterKey, integrityKey }: KeyNames): readonly CeremonyKey[] {
  const { label, ckaId } = masterKey;
  return [
    { kind: 'master key', label, ckaId },
    { kind: 'integrity key', label: integrityKey.label, ckaId: integrityKey.ckaId },
  ];
}

/** Names the master key in every row and log: 16 letters and digits of base32, 80 random bits. */
export function createMasterKeyId(): string {
  return `mk-${Array.from(randomBytes(16), (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte & 31]).join('')}`;
}
