import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { digestsToSign } from '../../src/shared/chains/index.ts';
import { type SignatureBody, signatureBody } from '../../src/shared/chains/signature-body.ts';
import type { ListedCredential, PinnedOperation } from '../../src/shared/credential-list/credential-list.ts';
import type { Authorisation, WalletStatement } from '../../src/shared/driver-protocol.ts';
import { requestId, walletIdOf } from '../../src/shared/keys.ts';
import { challengeTtlMs, newChallenge, userActionId } from '../../src/shared/user-action/challenge.ts';
import type { Offer } from './scripted-api.ts';
import { organisation, secp256k1 } from './slot-worker.ts';

type SignOffer = Extract<Offer, { kind: 'Sign' }>;
type KeyOffer = Extract<Offer, { kind: 'GenerateKey' }>;

export interface SignedAction {
  readonly authorisation: Authorisation;
  /** Its id. */
  readonly userAction: string;
}

export interface TestKey {
  readonly id: string;
  readonly publicKey: string;
}

export interface TestWallet {
  readonly id: string;
  readonly network: string;
  readonly statement: WalletStatement;
  /** For the GenerateKey request of a wallet with a new key. */
  readonly offer: KeyOffer;
}

/** An application with a credential, and an honest API in front of it: what they give to a driver. */
export interface TestCaller {
  readonly listed: ListedCredential;
  authorise(path: string, body: unknown, madeAtMs?: number): SignedAction;
  newKey(): KeyOffer;
  newWallet(network: string): TestWallet;
  sign(key: TestKey, body: SignatureBody, wallet?: TestWallet): SignOffer;
}

export interface CallerOptions {
  readonly of?: string;
  readonly operations?: readonly PinnedOperation[];
  readonly keys?: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
}

export function makeCaller(options: CallerOptions = {}): TestCaller {
  const { of = organisation, operations = ['Keys:Create', 'Keys:Signatures:Create', 'Wallets:Create'] } = options;
  const { privateKey, publicKey } = options.keys ?? generateKeyPairSync('ed25519');
  const credentialId = `cr-${randomUUID()}`;

  function authorise(path: string, body: unknown, madeAtMs = Date.now()): SignedAction {
    const payload = JSON.stringify(body);
    const challenge = newChallenge({ method: 'POST', path, payload }, madeAtMs + challengeTtlMs);
    const clientData = Buffer.from(JSON.stringify({ type: 'key.get', challenge }));
    const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
    return {
      userAction: userActionId(challenge),
      authorisation: {
        method: 'POST',
        path,
        payload,
        credentialId,
        clientData: clientData.toString('base64url'),
        signature: sign(digest, clientData, privateKey).toString('base64url'),
      },
    };
  }

  function keyOffer({ authorisation, userAction }: SignedAction): KeyOffer {
    const id = requestId('key', of, { userAction });
    const type = secp256k1;
    return { id, attempt: 1, leaseMs: 15_000, organisation: of, keyId: id, kind: 'GenerateKey', type, authorisation };
  }

  return {
    listed: {
      id: credentialId,
      organisation: of,
      name: 'test',
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      operations: [...operations],
    },
    authorise,
    newKey: () => keyOffer(authorise('/keys', { scheme: 'ECDSA', curve: 'secp256k1' })),
    newWallet(network) {
      const action = authorise('/wallets', { network });
      const { payload, credentialId: id, clientData, signature } = action.authorisation;
      return {
        id: walletIdOf(of, action.userAction),
        network,
        statement: { payload, credentialId: id, clientData, signature },
        offer: keyOffer(action),
      };
    },
    sign(key, body, wallet) {
      const path = wallet === undefined ? `/keys/${key.id}/signatures` : `/wallets/${wallet.id}/signatures`;
      const { authorisation, userAction } = authorise(path, body);
      const { externalId } = signatureBody.parse(body);
      const network = wallet === undefined ? {} : { network: wallet.network };
      const { digests } = digestsToSign({ type: secp256k1, publicKey: key.publicKey, body, ...network });
      return {
        id: requestId('sig', of, externalId === undefined ? { userAction } : { externalId }),
        attempt: 1,
        leaseMs: 15_000,
        organisation: of,
        keyId: key.id,
        kind: 'Sign',
        type: secp256k1,
        digests: digests.map((digest) => digest.toString('hex')),
        lookUp: false,
        authorisation: wallet === undefined ? authorisation : { ...authorisation, wallet: wallet.statement },
      };
    },
  };
}
