import { createHash } from 'node:crypto';
import { lengthPrefixed } from './crypto/length-prefixed.ts';

/**
 * The words for keys, in the Dfns API's spelling, and the ids of what requests make.
 *
 * Encodings used everywhere outside src/worker/hsm: public keys are lower-case hex without 0x, secp256k1 and P-256 as
 * 33-byte compressed SEC1 points, ed25519 as the 32 bytes of RFC 8032; signatures are r‖s, 64 bytes (ed25519: as RFC
 * 8032 writes them), lower-case hex.
 */
export const keyTypes = [
  { scheme: 'ECDSA', curve: 'secp256k1' },
  { scheme: 'ECDSA', curve: 'P-256' },
  { scheme: 'EdDSA', curve: 'ed25519' },
] as const;

export type KeyType = (typeof keyTypes)[number];
export type Scheme = KeyType['scheme'];
export type Curve = KeyType['curve'];

export const curves = keyTypes.map((type) => type.curve) as readonly Curve[];

export function schemeOf(curve: Curve): Scheme {
  return curve === 'ed25519' ? 'EdDSA' : 'ECDSA';
}

export const requestKinds = ['GenerateKey', 'Sign'] as const;
export type RequestKind = (typeof requestKinds)[number];

/** What a worker must be able to do for a request: the queue's index and the driver's capabilities use this word. */
export type Capability = `${RequestKind}:${Scheme}/${Curve}`;

export function capability(kind: RequestKind, curve: Curve): Capability {
  return `${kind}:${schemeOf(curve)}/${curve}`;
}

export const idPrefixes = ['key', 'sig', 'or', 'us', 'to', 'cr', 'wa', 'wh', 'pm', 'as'] as const;
export type IdPrefix = (typeof idPrefixes)[number];

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/**
 * An id of the Dfns API's shape, `key-xxxxx-xxxxx-xxxxxxxxxxxxxxxx`: 26 letters and digits, 130 bits.
 * @param seed 17 bytes or more; only the first 130 bits count.
 */
export function entityId(prefix: IdPrefix, seed: Uint8Array): string {
  let bits = 0;
  let value = 0;
  let text = '';
  for (const byte of seed) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5 && text.length < 26) {
      text += alphabet[(value >>> (bits - 5)) & 31];
      bits -= 5;
    }
    value &= (1 << bits) - 1;
  }
  return `${prefix}-${text.slice(0, 5)}-${text.slice(5, 10)}-${text.slice(10)}`;
}

/**
 * The id of a request, and of the key or signature that it makes (design: "request id"): the same caller's intent
 * always gives the same id, so the insert of the row is the uniqueness check.
 * @param origin the caller's externalId, or the id of the user action where there is none.
 */
export function requestId(
  prefix: 'key' | 'sig',
  organisation: string,
  origin: { externalId: string } | { userAction: string },
): string {
  const [kind, value] = 'externalId' in origin ? ['external', origin.externalId] : ['action', origin.userAction];
  return entityId(prefix, hashOf(['hsm-driver request v1', organisation, kind, value]));
}

/**
 * The id of the wallet that a user action makes. Since the user action's id is a hash of the challenge, and that holds
 * the hash of the request, a wallet's id says for ever which network and which key were asked for.
 */
export function walletIdOf(organisation: string, userAction: string): string {
  return entityId('wa', hashOf(['hsm-driver wallet v1', organisation, userAction]));
}

function hashOf(fields: readonly string[]): Buffer {
  return createHash('sha256').update(lengthPrefixed(fields)).digest();
}
