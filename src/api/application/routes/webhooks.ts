import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { entityId } from '../../../shared/keys.ts';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import { eventKinds } from '../../webhooks/event-kinds.ts';
import { payloadOf } from '../../webhooks/payload.ts';
import { requireReceiver } from '../../webhooks/receivers.ts';
import {
  updateWebhook as changeWebhook,
  insertWebhook,
  listWebhooks as readWebhooks,
  deleteWebhook as removeWebhook,
  requireWebhook,
} from '../../webhooks/webhooks.ts';
import { changingRoute, plainRoute } from '../route.ts';
import { webhookAnswer, webhookSchema } from '../webhook-answer.ts';

const fields = {
  url: z.string().min(1).max(2048),
  status: z.enum(['Enabled', 'Disabled']),
  description: z.string().max(256),
  events: z
    .array(z.enum([...eventKinds, '*']))
    .min(1)
    .max(50),
};

export const createWebhook = changingRoute({
  method: 'POST',
  path: '/webhooks',
  summary: 'Register a URL to which events are delivered',
  permission: 'Webhooks:Create',
  body: z.strictObject({
    url: fields.url,
    status: fields.status.optional(),
    description: fields.description.optional(),
    events: fields.events,
  }),
  answer: webhookSchema.extend({ secret: z.string().describe('Shown here only; authenticates deliveries') }),
  async change({ requester, body }, client, { configuration, webhookSecrets }) {
    requireReceiver(body.url, configuration.webhooks.privateAddresses);
    const id = entityId('wh', randomBytes(17));
    const { secret, sealed } = webhookSecrets.create(id);
    const webhook = await insertWebhook(client, requester.organisation, {
      id,
      url: body.url,
      events: body.events,
      enabled: body.status !== 'Disabled',
      ...(body.description === undefined ? {} : { description: body.description }),
      sealedSecret: sealed,
    });
    return { effect: id, answer: { ...webhookAnswer(webhook), secret } };
  },
});

export const listWebhooks = plainRoute({
  method: 'GET',
  path: '/webhooks',
  summary: 'List webhooks, newest first',
  permission: 'Webhooks:Read',
  query: pageQuery,
  answer: pageOf(webhookSchema),
  async respond({ requester, query }, { pool }) {
    const page = readPage(query);
    const rows = await readWebhooks(pool, requester.organisation, page);
    return paged(page, rows, ({ webhook }) => webhookAnswer(webhook));
  },
});

export const getWebhook = plainRoute({
  method: 'GET',
  path: '/webhooks/:webhookId',
  summary: 'Get a webhook',
  permission: 'Webhooks:Read',
  answer: webhookSchema,
  async respond({ requester, parameters: { webhookId = '' } }, { pool }) {
    return webhookAnswer(await requireWebhook(pool, requester.organisation, webhookId));
  },
});

export const updateWebhook = changingRoute({
  method: 'PUT',
  path: '/webhooks/:webhookId',
  summary: 'Change a webhook',
  permission: 'Webhooks:Update',
  body: z.strictObject({
    url: fields.url.optional(),
    status: fields.status.optional(),
    description: fields.description.optional(),
    events: fields.events.optional(),
  }),
  answer: webhookSchema,
  async change({ requester: { organisation }, parameters: { webhookId = '' }, body }, client, { configuration }) {
    if (body.url !== undefined) requireReceiver(body.url, configuration.webhooks.privateAddresses);
    const { status, ...rest } = body;
    await changeWebhook(client, organisation, webhookId, {
      ...rest,
      enabled: status === undefined ? undefined : status === 'Enabled',
    });
    return { effect: webhookId, answer: webhookAnswer(await requireWebhook(client, organisation, webhookId)) };
  },
});

export const deleteWebhook = changingRoute({
  method: 'DELETE',
  path: '/webhooks/:webhookId',
  summary: 'Delete a webhook and its events',
  permission: 'Webhooks:Delete',
  answer: z.object({ deleted: z.literal(true) }),
  async change({ requester, parameters: { webhookId = '' } }, client) {
    await removeWebhook(client, requester.organisation, webhookId);
    return { effect: webhookId, answer: { deleted: true } };
  },
});

export const pingWebhook = changingRoute({
  method: 'POST',
  path: '/webhooks/:webhookId/ping',
  summary: 'Try a delivery now',
  permission: 'Webhooks:Ping',
  answer: z.object({ status: z.string().describe('HTTP status of the receiver'), error: z.string().optional() }),
  async change({ requester, parameters: { webhookId = '' } }, client, { webhookSecrets, webhookSender }) {
    const { url, sealedSecret } = await requireWebhook(client, requester.organisation, webhookId);
    return {
      effect: webhookId,
      // After the commit: no transaction waits for a receiver.
      answer: async () => {
        const now = new Date();
        const ping = { id: entityId('wh', randomBytes(17)), kind: 'ping', createdAt: now, attempts: 1, data: {} };
        const { body, headers } = payloadOf(ping, openSecret(webhookSecrets, webhookId, sealedSecret), now);
        const delivery = await webhookSender.send(url, body, headers);
        return 'status' in delivery ? { status: String(delivery.status) } : { status: '0', error: delivery.error };
      },
    };
  },
});

function openSecret(secrets: { open(id: string, sealed: Buffer): string }, id: string, sealed: Buffer): string {
  try {
    return secrets.open(id, sealed);
  } catch (cause) {
    throw new CodedError('INTERNAL', `the secret of webhook ${id} does not open`, { cause });
  }
}
