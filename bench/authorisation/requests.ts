import { createHash, generateKeyPairSync, type KeyObject, randomBytes, randomUUID, sign } from 'node:crypto';
import { parseEther, parseGwei, serializeTransaction } from 'viem';
import { digestsToSign } from '../../src/shared/chains/index.ts';
import { type SignatureBody, signatureBody } from '../../src/shared/chains/signature-body.ts';
import type { PinnedCredentials } from '../../src/shared/credential-list/credential-list.ts';
import type { Authorisation, LeasedSign, WalletStatement } from '../../src/shared/driver-protocol.ts';
import { requestId, walletIdOf } from '../../src/shared/keys.ts';
import { challengeTtlMs, newChallenge, userActionId } from '../../src/shared/user-action/challenge.ts';
import { credentialVerifier } from '../../src/shared/user-action/credential-key.ts';
import type { WrappedKey } from '../../src/worker/wrapped-key.ts';
import type { CheckedKind } from './calls.ts';

/** Requests as the driver gets them from an honest API, and the list that has their credential. */
export interface AuthorisedRequests {
  readonly requests: readonly { readonly request: LeasedSign; readonly key: WrappedKey }[];
  readonly credentials: PinnedCredentials;
}

const organisation = 'or-bench';
const type = { scheme: 'ECDSA', curve: 'secp256k1' } as const;
/** The base point: any point will do, nothing is signed. */
const publicKey = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
const network = 'Ethereum';
const wallets = 100;

export function makeRequests({ credential, body }: CheckedKind, count: number): AuthorisedRequests {
  const { privateKey, publicKey: credentialKey } = keyPair(credential);
  const credentialId = `cr-${randomUUID()}`;
  const authorise = authoriserOf(privateKey, credentialId);
  const pinned = {
    organisation,
    signed: credentialVerifier(credentialKey),
    operations: new Set(['Keys:Signatures:Create'] as const),
  };
  const targets = Array.from({ length: wallets }, () => newWallet(authorise));
  return {
    credentials: { version: 1, size: 1, find: (_organisation, id) => (id === credentialId ? pinned : undefined) },
    requests: Array.from({ length: count }, (_, at) => {
      const wallet = targets[at % wallets] as Wallet;
      const key = keyOf(wallet.keyId);
      return { key, request: body === 'hash' ? hashRequest(authorise, key) : transferRequest(authorise, wallet) };
    }),
  };
}

interface Action {
  readonly authorisation: Authorisation;
  readonly userAction: string;
}
type Authorise = (path: string, body: unknown) => Action;

function authoriserOf(privateKey: KeyObject, credentialId: string): Authorise {
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return (path, body) => {
    const payload = JSON.stringify(body);
    const challenge = newChallenge({ method: 'POST', path, payload }, Date.now() + challengeTtlMs);
    const clientData = Buffer.from(JSON.stringify({ type: 'key.get', challenge }));
    const signature = sign(digest, clientData, privateKey).toString('base64url');
    const signed = { credentialId, clientData: clientData.toString('base64url'), signature };
    return { userAction: userActionId(challenge), authorisation: { method: 'POST', path, payload, ...signed } };
  };
}

interface Wallet {
  readonly id: string;
  readonly keyId: string;
  readonly statement: WalletStatement;
}

function newWallet(authorise: Authorise): Wallet {
  const { authorisation, userAction } = authorise('/wallets', { network });
  const { payload, credentialId, clientData, signature } = authorisation;
  return {
    id: walletIdOf(organisation, userAction),
    keyId: requestId('key', organisation, { userAction }),
    statement: { payload, credentialId, clientData, signature },
  };
}

function hashRequest(authorise: Authorise, { keyId }: WrappedKey): LeasedSign {
  const body = { kind: 'Hash', hash: randomBytes(32).toString('hex') } as const;
  return leased(authorise(`/keys/${keyId}/signatures`, body), keyId, digestsOf(body));
}

function transferRequest(authorise: Authorise, { id, keyId, statement }: Wallet): LeasedSign {
  const transaction = serializeTransaction({
    type: 'eip1559',
    chainId: 1,
    nonce: 7,
    to: `0x${randomBytes(20).toString('hex')}`,
    value: parseEther('1'),
    gas: 21_000n,
    maxFeePerGas: parseGwei('20'),
  });
  const body = { kind: 'Transaction', transaction } as const;
  const request = leased(authorise(`/wallets/${id}/signatures`, body), keyId, digestsOf(body, network));
  return { ...request, authorisation: { ...(request.authorisation as Authorisation), wallet: statement } };
}

function digestsOf(body: SignatureBody, network?: string): string[] {
  const parsed = signatureBody.parse(body);
  const { digests } = digestsToSign({ type, publicKey, body: parsed, ...(network === undefined ? {} : { network }) });
  return digests.map((digest) => digest.toString('hex'));
}

function leased({ authorisation, userAction }: Action, keyId: string, digests: string[]): LeasedSign {
  const id = requestId('sig', organisation, { userAction });
  const delivery = { lease: randomUUID(), attempt: 1, leaseMs: 15_000, lookUp: false } as const;
  return { ...delivery, id, organisation, keyId, kind: 'Sign', type, digests, authorisation };
}

/** Of a row only what the check reads counts. */
function keyOf(keyId: string): WrappedKey {
  return {
    keyId,
    requestId: keyId,
    keyStore: 'bench',
    organisation,
    type,
    publicKey,
    blob: Buffer.alloc(0),
    wrapAlgorithm: 'RFC5649',
    wrapMechanism: 0,
    masterKeyId: 'mk-bench',
    integrityKeyId: 'ik-bench',
    allowedKinds: [],
    status: 'active',
    tag: createHash('sha256').digest(),
  };
}

function keyPair(kind: CheckedKind['credential']): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (kind) {
    case 'Ed25519':
      return generateKeyPairSync('ed25519');
    case 'P-256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    case 'secp256k1':
      return generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    case 'RSA-2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    default:
      return kind satisfies never;
  }
}
