import type pg from 'pg';
import { type Page, pageClause, positionColumn } from '../page.ts';
import type { RaisedKind } from './event-kinds.ts';
import type { Delivery } from './send.ts';

/**
 * The outbox. Triggers write an event for each webhook that wants it, in the transaction of its cause (see the schema);
 * what it tells is read when it is sent. A row with `next_attempt_at` is due then; taking it sets the time of the next
 * attempt, so an attempt is made once, by whichever process took it, and one whose process died is followed by the next.
 */
export interface WebhookEvent {
  readonly id: string;
  readonly organisation: string;
  readonly kind: RaisedKind;
  /** Id of the key, the wallet, or the signature request. */
  readonly subject: string;
  readonly attempts: number;
  readonly sentAt?: Date;
  readonly httpStatus?: number;
  readonly error?: string;
  readonly createdAt: Date;
}

/** An event that is to be sent now. */
export interface DueEvent extends WebhookEvent {
  readonly webhook: string;
  readonly url: string;
  readonly sealedSecret: Buffer;
}

interface EventRecord {
  readonly id: string;
  readonly organisation: string;
  readonly kind: RaisedKind;
  readonly subject: string;
  readonly attempts: number;
  readonly sent_at: Date | null;
  readonly http_status: number | null;
  readonly error: string | null;
  readonly created_at: Date;
}

const eventColumns = `event.id, webhook.organisation, event.kind, event.subject, event.attempts, event.sent_at,
  event.http_status, event.error, event.created_at`;

/** After the first, second, third and fourth attempt; the fifth is the last. */
const pauses = ['1 minute', '12 minutes', '2 hours', '1 day'] as const;
/** Of one webhook at a time, so that a receiver that does not answer cannot keep the others waiting. */
const perWebhook = 4;

/** Takes up to `limit` due events, of webhooks that are not in `busy`. */
export async function takeDueEvents(pool: pg.Pool, limit: number, busy: readonly string[]): Promise<DueEvent[]> {
  const { rows } = await pool.query<EventRecord & { webhook: string; url: string; sealed_secret: Buffer }>(
    `with due as (
       select due.id from webhook
       cross join lateral (
         select id from webhook_event where webhook = webhook.id and next_attempt_at <= now()
         order by next_attempt_at limit $4 for update skip locked
       ) due
       where webhook.enabled and webhook.id <> all($2) limit $1
     )
     update webhook_event event set attempts = attempts + 1, sent_at = now(), http_status = null, error = null,
       next_attempt_at = now() + ($3::interval[])[attempts + 1]
     from due, webhook where event.id = due.id and webhook.id = event.webhook
     returning ${eventColumns}, event.webhook, webhook.url, webhook.sealed_secret`,
    [limit, busy, pauses, perWebhook],
  );
  return rows.map((row) => ({
    ...eventOf(row),
    webhook: row.webhook,
    url: row.url,
    sealedSecret: row.sealed_secret,
  }));
}

/** How an attempt ended; a delivered event is not sent again. */
export async function recordDelivery(pool: pg.Pool, eventId: string, delivery: Delivery): Promise<void> {
  const status = 'status' in delivery ? delivery.status : null;
  const error = 'error' in delivery ? delivery.error : status === 200 ? null : `the receiver answered ${status}`;
  await pool.query(
    `update webhook_event set http_status = $2::smallint, error = $3,
       next_attempt_at = case when $2::smallint = 200 then null else next_attempt_at end
     where id = $1`,
    [eventId, status, error],
  );
}

/** The trace is kept 31 days. @returns how many events are gone. */
export async function deleteOldEvents(pool: pg.Pool): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from webhook_event where id in (
       select id from webhook_event where created_at < now() - interval '31 days' limit 1000)`,
  );
  return rowCount ?? 0;
}

export interface EventFilter {
  readonly kind?: string | undefined;
  readonly deliveryFailed?: boolean | undefined;
}

/** One more than the page's limit when there is another page. */
export async function listEvents(
  pool: pg.Pool,
  organisation: string,
  webhookId: string,
  { kind, deliveryFailed }: EventFilter,
  page: Page,
) {
  const { where, values } = pageClause(page, 5, 'event.created_at', 'event.id');
  const { rows } = await pool.query<EventRecord & { position: string }>(
    `select ${eventColumns}, ${positionColumn('event.created_at')}
     from webhook_event event join webhook on webhook.id = event.webhook
     where webhook.id = $1 and webhook.organisation = $2 and ($3::text is null or event.kind = $3)
       and ($4::boolean is null or (event.attempts > 0 and event.http_status is distinct from 200) = $4) ${where}`,
    [webhookId, organisation, kind ?? null, deliveryFailed ?? null, ...values],
  );
  return rows.map((row) => ({ event: eventOf(row), id: row.id, position: row.position }));
}

export async function findEvent(
  pool: pg.Pool,
  organisation: string,
  webhookId: string,
  eventId: string,
): Promise<WebhookEvent | undefined> {
  const { rows } = await pool.query<EventRecord>(
    `select ${eventColumns} from webhook_event event join webhook on webhook.id = event.webhook
     where event.id = $1 and webhook.id = $2 and webhook.organisation = $3`,
    [eventId, webhookId, organisation],
  );
  return rows[0] && eventOf(rows[0]);
}

function eventOf(record: EventRecord): WebhookEvent {
  return {
    id: record.id,
    organisation: record.organisation,
    kind: record.kind,
    subject: record.subject,
    attempts: record.attempts,
    ...(record.sent_at === null ? {} : { sentAt: record.sent_at }),
    ...(record.http_status === null ? {} : { httpStatus: record.http_status }),
    ...(record.error === null ? {} : { error: record.error }),
    createdAt: record.created_at,
  };
}
