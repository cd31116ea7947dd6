import { z } from 'zod';
import { type WalletNetwork, walletNetwork } from '../../../shared/chains/wallet-network.ts';
import { CodedError } from '../../../shared/errors.ts';
import { type KeyType, requestId, walletIdOf } from '../../../shared/keys.ts';
import type { CheckedUserAction } from '../../authentication/user-action.ts';
import type { Key } from '../../keys.ts';
import type { WalletToBe } from '../../wallets/complete-wallets.ts';
import { insertWallet } from '../../wallets/wallets.ts';
import { fingerprint } from '../json-body.ts';
import { chooseStore, keyTypeOf, madeOrBeingMade, makeKey, refuseUnsupportedMembers } from '../make-key.ts';
import { type Call, changeOnce, queuedRoute, type RouteTools } from '../route.ts';
import { walletSchema } from '../wallet-answer.ts';
import { answerWallet, walletFields } from './wallets.ts';

const bodySchema = z.strictObject({
  network: walletFields.network,
  name: walletFields.name.optional(),
  signingKey: z
    .strictObject({
      id: z.string().min(1).max(64).optional().describe('An existing key; a new one is made when absent'),
      scheme: z.enum(['ECDSA', 'EdDSA', 'Schnorr', 'DH']).optional(),
      curve: z.enum(['secp256k1', 'ed25519', 'stark']).optional(),
      storeId: z.string().min(1).max(64).optional(),
    })
    .optional(),
  delayDelegation: z.literal(false).optional(),
  externalId: walletFields.externalId.optional(),
  tags: walletFields.tags.optional(),
});
type Body = z.infer<typeof bodySchema>;

/**
 * A wallet for a new key, or another wallet of a key that is there. With a new key, the wallet is a part of the request
 * for it: whoever gets the outcome writes both at once, so there is never the one without the other.
 */
export const createWallet = queuedRoute({
  method: 'POST',
  path: '/wallets',
  summary: 'Create a wallet, with a new key or an existing one',
  permission: 'Wallets:Create',
  body: bodySchema,
  refuse: (sent) => {
    refuseUnsupportedMembers(sent);
    refuseUnsupportedMembers((sent as { signingKey?: unknown } | null | undefined)?.signingKey);
  },
  answer: walletSchema,
  async respond(call, userAction, tools) {
    const { organisation } = call.requester;
    const { network, signingKey, tags = [] } = call.body;
    if (tags.length > 0) call.requirePermission('Wallets:Tags:Add');
    const known = walletNetwork(network);
    if (known === undefined) throw new CodedError('BAD_REQUEST', `network ${network} is not known`);
    const walletId = walletIdOf(organisation, userAction.id);
    const answer = () => answerWallet(tools, organisation, walletId);
    if (signingKey?.id === undefined) {
      const keyId = await withNewKey(call, userAction, tools, walletId, known);
      return await madeOrBeingMade(keyId, answer);
    }
    await withKey(call, userAction, tools, walletId, signingKey.id, known);
    return await answer();
  },
});

async function withNewKey(
  call: Call<Body, unknown>,
  userAction: CheckedUserAction,
  tools: RouteTools,
  walletId: string,
  network: WalletNetwork,
): Promise<string> {
  call.requirePermission('Keys:Create');
  const { requester, body, sent, path } = call;
  const { scheme = network.type.scheme, curve = network.type.curve, storeId } = body.signingKey ?? {};
  const type = keyTypeOf(scheme, curve);
  requireType(type, network, body.network);
  const id = requestId('key', requester.organisation, { userAction: userAction.id });
  await makeKey(tools, {
    id,
    kind: 'GenerateKey',
    requester,
    type,
    keyStore: chooseStore(tools.configuration, storeId),
    keyId: id,
    network: body.network,
    walletId,
    wallet: walletToBe(body),
    userAction: userAction.id,
    fingerprint: fingerprint(path, sent),
    body: sent,
    authorisation: userAction.authorisation,
  });
  return id;
}

async function withKey(
  call: Call<Body, unknown>,
  userAction: CheckedUserAction,
  tools: RouteTools,
  walletId: string,
  keyId: string,
  network: WalletNetwork,
): Promise<void> {
  call.requirePermission('Keys:Reuse');
  const { requester, body } = call;
  const key = await tools.keys.require(requester.organisation, keyId);
  requireAsAsked(key, body);
  requireType(key.type, network, body.network);
  await changeOnce(tools, call, userAction, async (client) => {
    const { organisation } = requester;
    await insertWallet(client, {
      id: walletId,
      organisation,
      network: body.network,
      keyId,
      authorisation: userAction.authorisation,
      ...walletToBe(body),
    });
    return { effect: walletId, answer: {} };
  });
}

function requireType(type: KeyType, network: WalletNetwork, name: string): void {
  if (type.curve === network.type.curve) return;
  throw new CodedError(
    'BAD_REQUEST',
    `network ${name} needs ${network.type.scheme} keys on ${network.type.curve}, not ${type.scheme} on ${type.curve}`,
  );
}

/** What is said of an existing key must be so. */
function requireAsAsked({ id, type, keyStore }: Key, { signingKey }: Body): void {
  const { scheme = type.scheme, curve = type.curve, storeId = keyStore } = signingKey ?? {};
  if (scheme === type.scheme && curve === type.curve && storeId === keyStore) return;
  throw new CodedError('BAD_REQUEST', `key ${id} is an ${type.scheme} key on ${type.curve} in key store ${keyStore}`);
}

function walletToBe({ name, externalId, tags = [] }: Body): WalletToBe {
  return {
    ...(name === undefined ? {} : { name }),
    ...(externalId === undefined ? {} : { externalId }),
    tags: [...new Set(tags)],
  };
}
