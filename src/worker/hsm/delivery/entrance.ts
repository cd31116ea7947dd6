import type { WrapChoice, WrapMethod } from '../../../shared/wrap-algorithms.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Cryptoki, Handle } from '../module.ts';
import { wrapCandidates } from '../wrap.ts';
import {
  type Entrance,
  generateTransportKey,
  openableHashes,
  provenWrapMethods,
  readTransportKey,
} from './transport.ts';

/** @returns why not, when the token makes no RSA-4096 key or opens no RSA-OAEP blob. */
export function openEntrance(cryptoki: Cryptoki, session: Handle): Entrance | { readonly refusal: string } {
  try {
    const transportKey = generateTransportKey(cryptoki, session);
    const publicKey = readTransportKey(cryptoki, session, transportKey.publicKey);
    const [hash] = openableHashes(cryptoki, session, transportKey, publicKey);
    return hash === undefined ? { refusal: 'it opens no RSA-OAEP blob' } : { transportKey, publicKey, hash };
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return { refusal: error.message };
    throw error;
  }
}

export interface FoundMethods {
  /** Best first; empty when nothing was found out. */
  readonly wrapMethods: readonly WrapMethod[];
  /** Why OpenSSL could not confirm that they are what they are called. */
  readonly unconfirmed?: string;
}

/**
 * How a token wraps that has its keys already. Where no known secret can be brought in, what the configuration says with
 * its mechanism number is believed, for a round trip to prove.
 */
export function findWrapMethods(
  cryptoki: Cryptoki,
  session: Handle,
  choices: readonly WrapChoice[] | undefined,
): FoundMethods {
  const entrance = openEntrance(cryptoki, session);
  if ('refusal' in entrance) {
    const said = (choices ?? []).filter(({ mechanism }) => mechanism !== undefined);
    return { wrapMethods: said.length === 0 ? [] : wrapCandidates(said), unconfirmed: entrance.refusal };
  }
  const { transportKey, publicKey, hash } = entrance;
  const candidates = wrapCandidates(choices);
  const wrapMethods = provenWrapMethods(cryptoki, session, transportKey, publicKey, hash, candidates);
  for (const key of [transportKey.privateKey, transportKey.publicKey]) cryptoki.destroyObject(session, key);
  return { wrapMethods };
}
