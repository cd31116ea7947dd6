import { createHmac } from 'node:crypto';

/** The body of a delivery, and the header that proves where it comes from (contract of the Dfns API, section 9). */
export interface Payload {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function payloadOf(
  event: {
    readonly id: string;
    readonly kind: string;
    readonly createdAt: Date;
    /** 1 for the first. */
    readonly attempts: number;
    readonly data: Readonly<Record<string, unknown>>;
  },
  secret: string,
  sentAt: Date,
): Payload {
  const body = JSON.stringify({
    id: event.id,
    kind: event.kind,
    date: event.createdAt.toISOString(),
    data: event.data,
    timestampSent: Math.floor(sentAt.getTime() / 1_000),
    deliveryAttempt: event.attempts,
    // Every attempt is the same event, under the same id.
    ...(event.attempts > 1 ? { retryOf: event.id } : {}),
  });
  const signature = createHmac('sha256', secret).update(body, 'utf8').digest('hex');
  return { body, headers: { 'x-dfns-webhook-signature': `sha256=${signature}` } };
}
