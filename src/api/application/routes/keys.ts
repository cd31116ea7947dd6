import { z } from 'zod';
import { archiveKey, renameKey } from '../../key-changes.ts';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import { walletsOfKey } from '../../wallets/wallets.ts';
import { keyAnswer, keyDetailAnswer, keyDetailSchema, keySchema } from '../key-answer.ts';
import { changingRoute, plainRoute } from '../route.ts';

/** Every key is the organisation's own: there is nobody else to filter by, so `owner` is taken and changes nothing. */
const listQuery = pageQuery.extend({ owner: z.string().max(200).optional().describe('Without effect') });

export const listKeys = plainRoute({
  method: 'GET',
  path: '/keys',
  summary: 'List keys, newest first',
  permission: 'Keys:Read',
  query: listQuery,
  answer: pageOf(keySchema),
  async respond({ requester, query }, { keys }) {
    const page = readPage(query);
    return paged(page, await keys.list(requester.organisation, page), ({ key }) => keyAnswer(key));
  },
});

export const getKey = plainRoute({
  method: 'GET',
  path: '/keys/:keyId',
  summary: 'Get a key with its wallets and its key store',
  permission: 'Keys:Read',
  answer: keyDetailSchema,
  async respond({ requester: { organisation }, parameters: { keyId = '' } }, { keys, pool }) {
    const key = await keys.require(organisation, keyId);
    return keyDetailAnswer(key, await walletsOfKey(pool, organisation, keyId));
  },
});

export const updateKey = changingRoute({
  method: 'PUT',
  path: '/keys/:keyId',
  summary: 'Rename a key',
  permission: 'Keys:Update',
  body: z.strictObject({ name: z.string().min(1).max(100).nullable() }),
  answer: keySchema,
  async change({ requester: { organisation }, parameters: { keyId = '' }, body }, client, { keys }) {
    await renameKey(client, organisation, keyId, body.name);
    return { effect: keyId, answer: async () => keyAnswer(await keys.require(organisation, keyId)) };
  },
});

export const deleteKey = changingRoute({
  method: 'DELETE',
  path: '/keys/:keyId',
  summary: 'Archive a key and its wallets: they sign nothing any more',
  permission: 'Keys:Delete',
  answer: keySchema,
  async change({ requester: { organisation }, parameters: { keyId = '' } }, client, { keys }) {
    await archiveKey(client, organisation, keyId);
    return { effect: keyId, answer: async () => keyAnswer(await keys.require(organisation, keyId)) };
  },
});
