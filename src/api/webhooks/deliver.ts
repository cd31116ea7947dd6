import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import { asCodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Keys } from '../keys.ts';
import { eventData } from './event-data.ts';
import { type DueEvent, deleteOldEvents, recordDelivery, takeDueEvents } from './events.ts';
import { payloadOf } from './payload.ts';
import type { WebhookSecrets } from './secrets.ts';
import type { Delivery, WebhookSender } from './send.ts';

/** How often the outbox is looked at, not by all processes at once. */
const [shortestPauseMs, longestPauseMs] = [400, 600];
const trimEveryMs = 600_000;
/** Deliveries that are on their way at the same time, in this process. */
const parallel = 32;

export interface DeliveryParts {
  readonly pool: pg.Pool;
  readonly keys: Keys;
  readonly secrets: WebhookSecrets;
  readonly sender: WebhookSender;
  readonly log: Log;
}

/** Sends what is due in the outbox, as every API process does. Stopping ends what is on its way: it is tried again. */
export function startDeliveries({ pool, keys, secrets, sender, log }: DeliveryParts) {
  const underway = new Map<DueEvent, Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let trimAt = performance.now() + Math.random() * trimEveryMs;

  const deliver = async (event: DueEvent): Promise<void> => {
    const delivery = await attempt(event);
    if (stopped) return;
    await recordDelivery(pool, event.id, delivery);
    if (!('status' in delivery && delivery.status === 200))
      log.warn(
        { event: event.id, webhook: event.webhook, attempt: event.attempts, ...delivery },
        'webhook not delivered',
      );
  };
  const attempt = async (event: DueEvent): Promise<Delivery> => {
    try {
      const data = await eventData(pool, keys, event);
      const { body, headers } = payloadOf(
        { ...event, data },
        secrets.open(event.webhook, event.sealedSecret),
        new Date(),
      );
      return await sender.send(event.url, body, headers);
    } catch (error) {
      // The cause is for the log of this host; who looks at the event reads the code.
      const { code, detail } = asCodedError(error);
      log.error({ event: event.id, webhook: event.webhook, code, detail }, 'webhook event cannot be told');
      return { error: code };
    }
  };
  const once = async (): Promise<void> => {
    if (performance.now() >= trimAt) {
      trimAt = performance.now() + trimEveryMs;
      await deleteOldEvents(pool);
    }
    const room = parallel - underway.size;
    const busy = [...new Set([...underway.keys()].map((event) => event.webhook))];
    if (room === 0) return;
    for (const event of await takeDueEvents(pool, room, busy)) {
      const done = deliver(event)
        .catch((error: unknown) => log.error({ event: event.id, error: String(error) }, 'delivery not recorded'))
        .finally(() => underway.delete(event));
      underway.set(event, done);
    }
  };
  const schedule = (): void => {
    if (stopped) return;
    timer = setTimeout(
      () => void once().catch(failed).finally(schedule),
      shortestPauseMs + Math.random() * (longestPauseMs - shortestPauseMs),
    );
  };
  const failed = (error: unknown): void => {
    // The queue says when the database is gone.
    if (!isUnreachable(error)) log.error({ error: String(error) }, 'webhook outbox failed');
  };
  schedule();

  return {
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await sender.close();
      await Promise.allSettled(underway.values());
    },
  };
}
