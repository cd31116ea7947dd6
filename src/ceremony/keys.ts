import { randomBytes } from 'node:crypto';
import type { CeremonyKey, KeyName } from '../worker/hsm/delivery/keys.ts';

/** How one ceremony's two keys are called on the tokens: CKA_LABEL, and a CKA_ID (hex) no other ceremony has. */
export interface KeyNames {
  readonly masterKey: KeyName;
  readonly integrityKey: KeyName;
}

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
