import { CodedError } from '../../../shared/errors.ts';
import type { WrapChoice, WrapMethod } from '../../../shared/wrap-algorithms.ts';
import type { Cryptoki, Handle } from '../module.ts';
import { wrapCandidates } from '../wrap.ts';
import {
  generateTransportKey,
  type OaepHash,
  openableHashes,
  provenWrapMethods,
  readTransportKey,
  type TransportKey,
  type TransportPublicKey,
  transportKeySha256,
} from './transport.ts';

/** What a token that is to receive keys tells the one that gives them. */
export interface Transport {
  readonly publicKey: TransportPublicKey;
  /** As read on the token that holds the private key. */
  readonly sha256: string;
  readonly hashes: readonly OaepHash[];
  /** Proven on this token, best first. */
  readonly wrapMethods: readonly WrapMethod[];
}

/**
 * Makes a token's transport key and finds out what the token can do.
 * @throws CEREMONY_REFUSED, Pkcs11Fault
 */
export function becomeTarget(
  cryptoki: Cryptoki,
  session: Handle,
  wrap: readonly WrapChoice[] | undefined,
): { readonly transportKey: TransportKey; readonly transport: Transport } {
  const transportKey = generateTransportKey(cryptoki, session);
  const publicKey = readTransportKey(cryptoki, session, transportKey.publicKey);
  const hashes = openableHashes(cryptoki, session, transportKey, publicKey);
  const [best] = hashes;
  if (best === undefined) throw new CodedError('CEREMONY_REFUSED', 'the token opens no RSA-OAEP blob');
  const candidates = wrapCandidates(wrap);
  const wrapMethods = provenWrapMethods(cryptoki, session, transportKey, publicKey, best, candidates);
  return { transportKey, transport: { publicKey, sha256: transportKeySha256(publicKey), hashes, wrapMethods } };
}
