import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { CodedError } from '../shared/errors.ts';
import type { Application } from './application.ts';

/** One signature that was made and holds. */
export interface SelfTestSignature {
  readonly scheme: string;
  readonly curve: string;
  readonly keyId: string;
  /** Whether the key was made by this run. */
  readonly newKey: boolean;
  readonly signatureId: string;
  readonly ms: number;
}

interface Key {
  readonly id: string;
  readonly name?: string;
  readonly scheme: string;
  readonly curve: string;
  readonly status: string;
  readonly publicKey: string;
}

/** Keys of this name are used again, so that a test that runs every night makes two keys and not a thousand. */
export const selfTestKeyName = 'hsm-driver self-test';
const types = [
  { scheme: 'ECDSA', curve: 'secp256k1' },
  { scheme: 'EdDSA', curve: 'ed25519' },
] as const;
type KeyType = (typeof types)[number];

/**
 * Has one signature made with a key on each curve, over random bytes, the whole way from the application's call to the HSM
 * and back, and verifies it with code that signs nothing in this product.
 * @throws SELF_TEST_FAILED
 */
export async function selfTest(application: Application): Promise<readonly SelfTestSignature[]> {
  const keys = await ownKeys(application);
  const made: SelfTestSignature[] = [];
  for (const type of types) {
    const known = keys.find((key) => key.scheme === type.scheme && key.curve === type.curve);
    const key = known ?? ((await application.post('/keys', { ...type, name: selfTestKeyName })) as Key);
    made.push({ ...type, keyId: key.id, newKey: known === undefined, ...(await signOnce(application, key, type)) });
  }
  return made;
}

async function ownKeys(application: Application): Promise<readonly Key[]> {
  const found: Key[] = [];
  let page = '';
  do {
    const { items, nextPageToken } = (await application.get(`/keys?limit=100${page}`)) as {
      items: readonly Key[];
      nextPageToken?: string;
    };
    found.push(...items.filter(({ name, status }) => name === selfTestKeyName && status === 'Active'));
    page = nextPageToken === undefined ? '' : `&paginationToken=${encodeURIComponent(nextPageToken)}`;
  } while (page !== '');
  return found;
}

async function signOnce(application: Application, key: Key, type: KeyType) {
  const message = randomBytes(32);
  const hex = message.toString('hex');
  const start = performance.now();
  const body = type.curve === 'ed25519' ? { kind: 'Message', message: `0x${hex}` } : { kind: 'Hash', hash: `0x${hex}` };
  const answer = (await application.post(`/keys/${key.id}/signatures`, body)) as {
    id: string;
    status: string;
    reason?: string;
    signature?: { r: string; s: string };
  };
  const ms = Math.round(performance.now() - start);
  if (answer.status !== 'Signed' || answer.signature === undefined) {
    const why = answer.reason ?? 'no reason given';
    throw new CodedError('SELF_TEST_FAILED', `signature ${answer.id} is ${answer.status} (${why})`);
  }
  const rs = Buffer.from(answer.signature.r.slice(2) + answer.signature.s.slice(2), 'hex');
  if (!holds(type, key.publicKey, message, rs))
    throw new CodedError('SELF_TEST_FAILED', `signature ${answer.id} does not verify against ${key.publicKey}`);
  return { signatureId: answer.id, ms };
}

function holds({ curve }: KeyType, publicKey: string, message: Buffer, rs: Buffer): boolean {
  const key = Buffer.from(publicKey, 'hex');
  switch (curve) {
    case 'secp256k1':
      return secp256k1.verify(rs, message, key, { prehash: false, lowS: true });
    case 'ed25519': {
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') };
      return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), rs);
    }
    default:
      throw new TypeError(`no such curve: ${curve satisfies never}`);
  }
}
