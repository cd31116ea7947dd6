import { z } from 'zod';
import type { Webhook } from '../webhooks/webhooks.ts';
import { date } from './answer-fields.ts';

/** A webhook as applications see it (contract of the Dfns API, section 9). */
export const webhookSchema = z.object({
  id: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  status: z.enum(['Enabled', 'Disabled']),
  description: z.string().optional(),
  dateCreated: date,
  dateUpdated: date,
});

export const webhookEventSchema = z.object({
  id: z.string(),
  kind: z.string(),
  date,
  data: z.record(z.string(), z.unknown()),
  status: z.string().describe('HTTP status of the last attempt; 0 before the first, and where none was received'),
  error: z.string().optional(),
  timestampSent: z.number().describe('Unix seconds of the last attempt, 0 before the first'),
});

export function webhookAnswer(webhook: Webhook): z.infer<typeof webhookSchema> {
  return {
    id: webhook.id,
    url: webhook.url,
    events: [...webhook.events],
    status: webhook.enabled ? 'Enabled' : 'Disabled',
    ...(webhook.description === undefined ? {} : { description: webhook.description }),
    dateCreated: webhook.createdAt.toISOString(),
    dateUpdated: webhook.updatedAt.toISOString(),
  };
}
