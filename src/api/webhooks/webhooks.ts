import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { type Page, pageClause, positionColumn } from '../page.ts';

export interface Webhook {
  readonly id: string;
  readonly url: string;
  /** Kinds of events, or `*` for all. */
  readonly events: readonly string[];
  readonly description?: string;
  readonly enabled: boolean;
  readonly sealedSecret: Buffer;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface WebhookRecord {
  readonly id: string;
  readonly url: string;
  readonly events: string[];
  readonly description: string | null;
  readonly enabled: boolean;
  readonly sealed_secret: Buffer;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const webhookColumns = 'id, url, events, description, enabled, sealed_secret, created_at, updated_at';

/** A page lists them all at this number; deliveries of each are looked for every second. */
const webhooksPerOrganisation = 50;

/** @throws BAD_REQUEST when the organisation has as many as it may. */
export async function insertWebhook(
  client: pg.ClientBase,
  organisation: string,
  webhook: Pick<Webhook, 'id' | 'url' | 'events' | 'enabled' | 'sealedSecret'> & { readonly description?: string },
): Promise<Webhook> {
  const { rows } = await client.query<WebhookRecord>(
    `insert into webhook (id, organisation, url, events, description, enabled, sealed_secret)
     select $1, $2, $3, $4, $5, $6, $7 where (select count(*) from webhook where organisation = $2) < $8
     returning ${webhookColumns}`,
    [
      webhook.id,
      organisation,
      webhook.url,
      webhook.events,
      webhook.description ?? null,
      webhook.enabled,
      webhook.sealedSecret,
      webhooksPerOrganisation,
    ],
  );
  if (rows[0] === undefined)
    throw new CodedError('BAD_REQUEST', `an organisation has at most ${webhooksPerOrganisation} webhooks`);
  return webhookOf(rows[0]);
}

/** @throws NOT_FOUND */
export async function requireWebhook(
  database: pg.Pool | pg.ClientBase,
  organisation: string,
  webhookId: string,
): Promise<Webhook> {
  const { rows } = await database.query<WebhookRecord>(
    `select ${webhookColumns} from webhook where id = $1 and organisation = $2`,
    [webhookId, organisation],
  );
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `webhook ${webhookId}`);
  return webhookOf(rows[0]);
}

/** One more than the page's limit when there is another page. */
export async function listWebhooks(pool: pg.Pool, organisation: string, page: Page) {
  const { where, values } = pageClause(page, 2);
  const { rows } = await pool.query<WebhookRecord & { position: string }>(
    `select ${webhookColumns}, ${positionColumn()} from webhook where organisation = $1 ${where}`,
    [organisation, ...values],
  );
  return rows.map((row) => ({ webhook: webhookOf(row), id: row.id, position: row.position }));
}

/** @throws NOT_FOUND */
export async function updateWebhook(
  client: pg.ClientBase,
  organisation: string,
  webhookId: string,
  change: Partial<Record<'url' | 'description', string | undefined>> & {
    readonly events?: readonly string[] | undefined;
    readonly enabled?: boolean | undefined;
  },
): Promise<void> {
  const { rowCount } = await client.query(
    `update webhook set url = coalesce($3, url), description = coalesce($4, description), events = coalesce($5, events),
       enabled = coalesce($6, enabled), updated_at = now()
     where id = $1 and organisation = $2`,
    [
      webhookId,
      organisation,
      change.url ?? null,
      change.description ?? null,
      change.events ?? null,
      change.enabled ?? null,
    ],
  );
  if (rowCount !== 1) throw new CodedError('NOT_FOUND', `webhook ${webhookId}`);
}

/** With its events. @throws NOT_FOUND */
export async function deleteWebhook(client: pg.ClientBase, organisation: string, webhookId: string): Promise<void> {
  const { rowCount } = await client.query('delete from webhook where id = $1 and organisation = $2', [
    webhookId,
    organisation,
  ]);
  if (rowCount !== 1) throw new CodedError('NOT_FOUND', `webhook ${webhookId}`);
}

function webhookOf(record: WebhookRecord): Webhook {
  return {
    id: record.id,
    url: record.url,
    events: record.events,
    ...(record.description === null ? {} : { description: record.description }),
    enabled: record.enabled,
    sealedSecret: record.sealed_secret,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
  };
}
