import type { CeremonyFile } from '../../../shared/ceremony-file.ts';

/** How a key of the key store is called on a token: label, and an id (hex) that no other ceremony has. */
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
