import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import { eventData } from '../../webhooks/event-data.ts';
import { findEvent, listEvents, type WebhookEvent } from '../../webhooks/events.ts';
import { requireWebhook } from '../../webhooks/webhooks.ts';
import { plainRoute, type RouteTools } from '../route.ts';
import { webhookEventSchema } from '../webhook-answer.ts';

export const listWebhookEvents = plainRoute({
  method: 'GET',
  path: '/webhooks/:webhookId/events',
  summary: 'List a webhook’s events of the last 31 days, newest first',
  permission: 'Webhooks:Events:Read',
  query: pageQuery.extend({
    kind: z.string().max(64).optional(),
    deliveryFailed: z.enum(['true', 'false']).optional(),
  }),
  answer: pageOf(webhookEventSchema),
  async respond({ requester: { organisation }, parameters: { webhookId = '' }, query }, tools) {
    await requireWebhook(tools.pool, organisation, webhookId);
    const page = readPage(query);
    const { kind, deliveryFailed } = query;
    const filter = { kind, deliveryFailed: deliveryFailed === undefined ? undefined : deliveryFailed === 'true' };
    const rows = await listEvents(tools.pool, organisation, webhookId, filter, page);
    const answers = await Promise.all(rows.map(({ event }) => eventAnswer(tools, event)));
    const byId = new Map(answers.map((answer) => [answer.id, answer]));
    return paged(page, rows, ({ id }) => byId.get(id));
  },
});

export const getWebhookEvent = plainRoute({
  method: 'GET',
  path: '/webhooks/:webhookId/events/:webhookEventId',
  summary: 'Get an event of a webhook',
  permission: 'Webhooks:Events:Read',
  answer: webhookEventSchema,
  async respond({ requester, parameters: { webhookId = '', webhookEventId = '' } }, tools) {
    const event = await findEvent(tools.pool, requester.organisation, webhookId, webhookEventId);
    if (event === undefined) throw new CodedError('NOT_FOUND', `event ${webhookEventId}`);
    return await eventAnswer(tools, event);
  },
});

async function eventAnswer(
  { pool, keys }: RouteTools,
  event: WebhookEvent,
): Promise<z.infer<typeof webhookEventSchema>> {
  return {
    id: event.id,
    kind: event.kind,
    date: event.createdAt.toISOString(),
    data: await eventData(pool, keys, event),
    status: String(event.httpStatus ?? 0),
    ...(event.error === undefined ? {} : { error: event.error }),
    timestampSent: event.sentAt === undefined ? 0 : Math.floor(event.sentAt.getTime() / 1_000),
  };
}
