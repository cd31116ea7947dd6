import { z } from 'zod';
import { walletNetworks } from '../../../shared/chains/wallet-network.ts';
import { CodedError } from '../../../shared/errors.ts';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import {
  updateWallet as changeWallet,
  listWallets as readWallets,
  requireWallet,
  setTags,
} from '../../wallets/wallets.ts';
import { changingRoute, plainRoute, type RouteTools } from '../route.ts';
import { walletAnswer, walletSchema } from '../wallet-answer.ts';

export const walletFields = {
  network: z.enum(walletNetworks, 'is not a network that this API knows'),
  name: z.string().min(1).max(100),
  externalId: z.string().min(1).max(100),
  tags: z.array(z.string().regex(/^[a-zA-Z0-9_.:/+-]{1,100}$/)).max(10),
};

/** As for keys: every wallet is the organisation's own. */
const withoutEffect = z.string().max(200).optional().describe('Without effect');

export const listWallets = plainRoute({
  method: 'GET',
  path: '/wallets',
  summary: 'List wallets, newest first',
  permission: 'Wallets:Read',
  query: pageQuery.extend({ owner: withoutEffect, ownerId: withoutEffect, ownerUsername: withoutEffect }),
  answer: pageOf(walletSchema),
  async respond({ requester: { organisation }, query }, { keys, pool }) {
    const page = readPage(query);
    const rows = await readWallets(pool, organisation, page);
    const found = await keys.findAll(
      organisation,
      rows.map(({ wallet }) => wallet.keyId),
    );
    return paged(page, rows, ({ wallet }) => {
      const key = found.get(wallet.keyId);
      if (key === undefined) throw new CodedError('INTERNAL', `wallet ${wallet.id} has no key`);
      return walletAnswer(wallet, key);
    });
  },
});

export const getWallet = plainRoute({
  method: 'GET',
  path: '/wallets/:walletId',
  summary: 'Get a wallet',
  permission: 'Wallets:Read',
  answer: walletSchema,
  async respond({ requester: { organisation }, parameters: { walletId = '' } }, tools) {
    return await answerWallet(tools, organisation, walletId);
  },
});

export const updateWallet = changingRoute({
  method: 'PUT',
  path: '/wallets/:walletId',
  summary: 'Change a wallet’s name or externalId',
  permission: 'Wallets:Update',
  body: z.strictObject({
    name: walletFields.name.nullable().optional(),
    externalId: walletFields.externalId.nullable().optional(),
  }),
  answer: walletSchema,
  async change({ requester: { organisation }, parameters: { walletId = '' }, body }, client, tools) {
    await changeWallet(client, organisation, walletId, body);
    return { effect: walletId, answer: () => answerWallet(tools, organisation, walletId) };
  },
});

export const tagWallet = changingRoute({
  method: 'PUT',
  path: '/wallets/:walletId/tags',
  summary: 'Add tags to a wallet',
  permission: 'Wallets:Tags:Add',
  body: z.strictObject({ tags: walletFields.tags }),
  answer: z.strictObject({}),
  async change({ requester: { organisation }, parameters: { walletId = '' }, body }, client) {
    await setTags(client, organisation, walletId, (before) => {
      const tags = [...new Set([...before, ...body.tags])];
      if (tags.length <= 10) return tags;
      throw new CodedError('BAD_REQUEST', 'a wallet has at most 10 tags');
    });
    return { effect: walletId, answer: {} };
  },
});

export const untagWallet = changingRoute({
  method: 'DELETE',
  path: '/wallets/:walletId/tags',
  summary: 'Remove tags from a wallet',
  permission: 'Wallets:Tags:Delete',
  body: z.strictObject({ tags: walletFields.tags }),
  answer: z.strictObject({}),
  async change({ requester: { organisation }, parameters: { walletId = '' }, body }, client) {
    await setTags(client, organisation, walletId, (before) => before.filter((tag) => !body.tags.includes(tag)));
    return { effect: walletId, answer: {} };
  },
});

export async function answerWallet({ keys, pool }: RouteTools, organisation: string, walletId: string) {
  const wallet = await requireWallet(pool, organisation, walletId);
  return walletAnswer(wallet, await keys.require(organisation, wallet.keyId));
}
