import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import { listSignatureRequests } from '../../signature-requests.ts';
import { requireWallet } from '../../wallets/wallets.ts';
import { acceptSignature, signing } from '../accept-signature.ts';
import { plainRoute, queuedRoute } from '../route.ts';
import { signatureAnswer, signatureSchema } from '../signature-answer.ts';

/** The signatures of a key, those of its wallets included, and the signatures of one wallet. */

export const createKeySignature = queuedRoute({
  ...signing,
  path: '/keys/:keyId/signatures',
  summary: 'Sign with a key',
  async respond(call, userAction, tools) {
    const find = call.believed === undefined ? tools.keys.require : tools.keys.recall;
    const key = await find(call.requester.organisation, call.parameters.keyId ?? '');
    return await acceptSignature(tools, call, userAction, { key });
  },
});

export const createWalletSignature = queuedRoute({
  ...signing,
  path: '/wallets/:walletId/signatures',
  summary: 'Sign with a wallet; its network says what the body means',
  async respond(call, userAction, tools) {
    const { organisation } = call.requester;
    const wallet = await requireWallet(tools.pool, organisation, call.parameters.walletId ?? '');
    const find = call.believed === undefined ? tools.keys.require : tools.keys.recall;
    const key = await find(organisation, wallet.keyId);
    return await acceptSignature(tools, call, userAction, { key, wallet });
  },
});

export const listKeySignatures = plainRoute({
  method: 'GET',
  path: '/keys/:keyId/signatures',
  summary: 'List a key’s signatures, newest first',
  permission: 'Keys:Signatures:Read',
  query: pageQuery,
  answer: pageOf(signatureSchema).extend({ keyId: z.string() }),
  async respond({ requester: { organisation }, parameters: { keyId = '' }, query }, { keys, pool }) {
    const key = await keys.require(organisation, keyId);
    const page = readPage(query);
    const rows = await listSignatureRequests(pool, { organisation, keyId }, page);
    return { keyId, ...paged(page, rows, ({ row }) => signatureAnswer(row, key.publicKey)) };
  },
});

export const listWalletSignatures = plainRoute({
  method: 'GET',
  path: '/wallets/:walletId/signatures',
  summary: 'List a wallet’s signatures, newest first',
  permission: 'Keys:Signatures:Read',
  query: pageQuery,
  answer: pageOf(signatureSchema).extend({ walletId: z.string() }),
  async respond({ requester: { organisation }, parameters: { walletId = '' }, query }, { keys, pool }) {
    const { keyId } = await requireWallet(pool, organisation, walletId);
    const key = await keys.require(organisation, keyId);
    const page = readPage(query);
    const rows = await listSignatureRequests(pool, { organisation, keyId, walletId }, page);
    return { walletId, ...paged(page, rows, ({ row }) => signatureAnswer(row, key.publicKey)) };
  },
});

export const getKeySignature = plainRoute({
  method: 'GET',
  path: '/keys/:keyId/signatures/:signatureId',
  summary: 'Get a key’s signature',
  permission: 'Keys:Signatures:Read',
  answer: signatureSchema,
  async respond({ requester: { organisation }, parameters: { keyId = '', signatureId = '' } }, { keys, queue }) {
    const key = await keys.require(organisation, keyId);
    const row = await queue.find(organisation, signatureId);
    if (row === undefined || row.kind !== 'Sign' || row.keyId !== keyId)
      throw new CodedError('NOT_FOUND', `signature ${signatureId}`);
    return signatureAnswer(row, key.publicKey);
  },
});

export const getWalletSignature = plainRoute({
  method: 'GET',
  path: '/wallets/:walletId/signatures/:signatureId',
  summary: 'Get a wallet’s signature',
  permission: 'Keys:Signatures:Read',
  answer: signatureSchema,
  async respond({ requester: { organisation }, parameters }, { keys, pool, queue }) {
    const { walletId = '', signatureId = '' } = parameters;
    const { keyId } = await requireWallet(pool, organisation, walletId);
    const key = await keys.require(organisation, keyId);
    const row = await queue.find(organisation, signatureId);
    if (row === undefined || row.kind !== 'Sign' || row.walletId !== walletId)
      throw new CodedError('NOT_FOUND', `signature ${signatureId}`);
    return signatureAnswer(row, key.publicKey);
  },
});
