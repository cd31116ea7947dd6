import { constants, createHash, createPublicKey, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import { CodedError } from '../../../shared/errors.ts';
import type { WrapMethod } from '../../../shared/wrap-algorithms.ts';
import { CKA, CKG, CKK, CKM, CKZ } from '../constants.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Cryptoki, Handle, Mechanism, Template } from '../module.ts';
import { unwrapInSoftware, wrapKey } from '../wrap.ts';
import { importedTransportKey, knownSecret, transportKeyPair } from './templates.ts';

/**
 * The transport key of one token (RSA-4096, session objects), and what that token can do, found out with secrets this
 * process knows: it is the only way to learn what a wrap mechanism really is, since numbers and lists lie.
 */

/** Hash of RSA-OAEP (RFC 8017 section 7.1), best first. SoftHSM knows SHA-1 only. */
export const oaepHashes = ['sha256', 'sha1'] as const;
export type OaepHash = (typeof oaepHashes)[number];

export function oaep(hash: OaepHash): Mechanism {
  const [hashAlg, mgf] = hash === 'sha256' ? [CKM.SHA256, CKG.MGF1_SHA256] : [CKM.SHA_1, CKG.MGF1_SHA1];
  return { mechanism: CKM.RSA_PKCS_OAEP, oaep: { hashAlg, mgf, source: CKZ.DATA_SPECIFIED } };
}

/** Keys that travel to one token. */
export interface Delivery {
  readonly hash: OaepHash;
  /** In the order of the keys that were asked for. */
  readonly blobs: readonly Buffer[];
}

/** An RSA key pair, of session objects, through which secrets that this process knows reach the token. */
export interface Entrance {
  readonly transportKey: TransportKey;
  readonly publicKey: TransportPublicKey;
  readonly hash: OaepHash;
}

export interface TransportKey {
  readonly publicKey: Handle;
  readonly privateKey: Handle;
}

/** Big-endian, as in CKA_MODULUS and CKA_PUBLIC_EXPONENT. */
export interface TransportPublicKey {
  readonly modulus: Buffer;
  readonly publicExponent: Buffer;
}

export function generateTransportKey(cryptoki: Cryptoki, session: Handle): TransportKey {
  return cryptoki.generateKeyPair(
    session,
    { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
    transportKeyPair.publicKey,
    transportKeyPair.privateKey,
  );
}

export function importTransportKey(
  cryptoki: Cryptoki,
  session: Handle,
  { modulus, publicExponent }: TransportPublicKey,
): Handle {
  return cryptoki.createObject(session, importedTransportKey(modulus, publicExponent));
}

/** Read from the token, not remembered: what the token will use is what people compare. */
export function readTransportKey(cryptoki: Cryptoki, session: Handle, publicKey: Handle): TransportPublicKey {
  return {
    modulus: cryptoki.attribute(session, publicKey, CKA.MODULUS),
    publicExponent: cryptoki.attribute(session, publicKey, CKA.PUBLIC_EXPONENT),
  };
}

/** SHA-256 of the key's SubjectPublicKeyInfo (RFC 5280), hex: what `openssl pkey -pubin -outform DER | sha256sum` prints. */
export function transportKeySha256(key: TransportPublicKey): string {
  return createHash('sha256')
    .update(keyObject(key).export({ format: 'der', type: 'spki' }))
    .digest('hex');
}

function keyObject({ modulus, publicExponent }: TransportPublicKey): KeyObject {
  return createPublicKey({
    key: { kty: 'RSA', n: modulus.toString('base64url'), e: publicExponent.toString('base64url') },
    format: 'jwk',
  });
}

/** Which OAEP hashes this token opens, best first. */
export function openableHashes(
  cryptoki: Cryptoki,
  session: Handle,
  transportKey: TransportKey,
  key: TransportPublicKey,
): OaepHash[] {
  return oaepHashes.filter((hash) => {
    try {
      cryptoki.destroyObject(
        session,
        importSecret(cryptoki, session, transportKey, key, hash, CKK.AES, randomBytes(32), false),
      );
      return true;
    } catch (error) {
      if (error instanceof Pkcs11Fault) return false;
      throw error;
    }
  });
}

/**
 * Which candidates are what they are called: a known secret is wrapped under a known key, and OpenSSL must open it.
 * openCryptoki's 0x210A is another algorithm than SoftHSM's under the same number.
 */
export function provenWrapMethods(
  cryptoki: Cryptoki,
  session: Handle,
  transportKey: TransportKey,
  key: TransportPublicKey,
  hash: OaepHash,
  candidates: readonly WrapMethod[],
): WrapMethod[] {
  const wrappingKey = randomBytes(32);
  // A multiple of 8: SoftHSM adds zero bytes up to one before it wraps, which RFC 5649 then counts as content. RFC 3394
  // and padding of another kind still give other bytes.
  const secret = randomBytes(32);
  const known = [
    importSecret(cryptoki, session, transportKey, key, hash, CKK.AES, wrappingKey, false),
    importSecret(cryptoki, session, transportKey, key, hash, CKK.GENERIC_SECRET, secret, true),
  ] as const;
  try {
    return candidates.filter((method) => {
      let blob: Buffer;
      try {
        blob = wrapKey(cryptoki, session, method, ...known);
      } catch (error) {
        if (error instanceof Pkcs11Fault && error.ckr.class !== 'session') return false;
        throw error;
      }
      try {
        return unwrapInSoftware(method.algorithm, wrappingKey, blob).equals(secret);
      } catch {
        return false; // another algorithm under this number
      }
    });
  } finally {
    for (const one of known) cryptoki.destroyObject(session, one);
  }
}

/** A secret that this process knows, for a token: RSA-OAEP in software. */
export function encryptFor(key: TransportPublicKey, hash: OaepHash, value: Buffer): Buffer {
  return publicEncrypt({ key: keyObject(key), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }, value);
}

/** A secret that this process knows, on the token. @param template of the key as it is to be there. */
export function importKnown(
  cryptoki: Cryptoki,
  session: Handle,
  { transportKey: { privateKey }, publicKey, hash }: Entrance,
  value: Buffer,
  template: Template,
): Handle {
  return cryptoki.unwrapKey(session, oaep(hash), privateKey, encryptFor(publicKey, hash, value), template);
}

function importSecret(
  cryptoki: Cryptoki,
  session: Handle,
  { privateKey }: TransportKey,
  key: TransportPublicKey,
  hash: OaepHash,
  keyType: number,
  value: Buffer,
  extractable: boolean,
): Handle {
  const blob = encryptFor(key, hash, value);
  return cryptoki.unwrapKey(session, oaep(hash), privateKey, blob, knownSecret(keyType, extractable));
}

/** Wraps a key for a target under the best hash that both tokens can do. */
export function wrapForTarget(
  cryptoki: Cryptoki,
  session: Handle,
  transportKey: Handle,
  hashes: readonly OaepHash[],
  keys: readonly Handle[],
): Delivery {
  let last: unknown;
  for (const hash of hashes) {
    try {
      return { hash, blobs: keys.map((key) => cryptoki.wrapKey(session, oaep(hash), transportKey, key)) };
    } catch (error) {
      if (!(error instanceof Pkcs11Fault) || error.ckr.class !== 'request') throw error;
      last = error;
    }
  }
  throw new CodedError(
    'CEREMONY_REFUSED',
    `origin and target share no RSA-OAEP hash (${last instanceof Error ? last.message : hashes.join(', ')})`,
  );
}
