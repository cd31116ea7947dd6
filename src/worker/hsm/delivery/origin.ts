import { CKM } from '../constants.ts';
import type { Cryptoki, Handle } from '../module.ts';
import type { Token } from '../token.ts';
import type { CeremonyKey } from './keys.ts';
import { findStored } from './objects.ts';
import type { Transport } from './target.ts';
import { newIntegrityKey, newMasterKey } from './templates.ts';
import {
  type Delivery,
  importTransportKey,
  type OaepHash,
  readTransportKey,
  transportKeySha256,
  wrapForTarget,
} from './transport.ts';

/** `new`: made as session objects and destroyed once they are wrapped. `stored`: what the backup token keeps. */
export type KeySource = 'new' | 'stored';

/** The token that keys come from, and what it has taken in of those they go to. */
export interface Origin {
  /** Takes in a target's transport key. @returns its SHA-256, as read on this token. */
  takeIn(transport: Transport): string;
  /** Wraps the keys for every transport key taken in, and lets go of those. @throws Pkcs11Fault, CEREMONY_REFUSED, MASTER_KEY_MISSING */
  distribute(keys: readonly CeremonyKey[], source: KeySource): readonly Delivery[];
}

export function createOrigin(cryptoki: Cryptoki, token: Token, session: Handle): Origin {
  let targets: { readonly key: Handle; readonly hashes: readonly OaepHash[] }[] = [];
  return {
    takeIn({ publicKey, hashes }) {
      const key = importTransportKey(cryptoki, session, {
        modulus: Buffer.from(publicKey.modulus),
        publicExponent: Buffer.from(publicKey.publicExponent),
      });
      targets.push({ key, hashes });
      return transportKeySha256(readTransportKey(cryptoki, session, key));
    },
    distribute(keys, source) {
      const known = targets;
      targets = [];
      const made: Handle[] = [];
      try {
        // New ones are wrapped at once and destroyed: what stays on this token is what it receives like every other.
        const handles = keys.map((key) => {
          if (source === 'stored') return findStored(cryptoki, token, session, key);
          const one = generate(cryptoki, session, key);
          made.push(one);
          return one;
        });
        return known.map(({ key, hashes }) => wrapForTarget(cryptoki, session, key, hashes, handles));
      } finally {
        for (const key of [...made, ...known.map(({ key }) => key)]) cryptoki.destroyObject(session, key);
      }
    },
  };
}

function generate(cryptoki: Cryptoki, session: Handle, { kind }: CeremonyKey): Handle {
  switch (kind) {
    case 'master key':
      return cryptoki.generateKey(session, { mechanism: CKM.AES_KEY_GEN }, newMasterKey);
    case 'integrity key':
      return cryptoki.generateKey(session, { mechanism: CKM.GENERIC_SECRET_KEY_GEN }, newIntegrityKey);
    default:
      return kind satisfies never;
  }
}
