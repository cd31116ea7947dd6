import { randomBytes } from 'node:crypto';
import type { CeremonyFile } from '../shared/ceremony-file.ts';

/** The names of one ceremony's two keys: ids for rows and logs, CKA_LABEL and CKA_ID for the tokens. */
export interface KeyNames {
  readonly masterKey: Pick<CeremonyFile['masterKey'], 'id' | 'label' | 'ckaId'>;
  readonly integrityKey: Pick<CeremonyFile['integrityKey'], 'id' | 'label' | 'ckaId'>;
}

export function createKeyNames(keyStore: string): KeyNames {
  return {
    masterKey: { id: `mk-${randomWord()}`, label: `${keyStore} master key`, ckaId: randomBytes(16).toString('hex') },
    integrityKey: {
      id: `ik-${randomWord()}`,
      label: `${keyStore} integrity key`,
      ckaId: randomBytes(16).toString('hex'),
    },
  };
}

/** 16 letters and digits of base32, 80 bits. */
function randomWord(): string {
  return Array.from(randomBytes(16), (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte & 31]).join('');
}
