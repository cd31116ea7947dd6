import type pg from 'pg';
import { type Page, pageClause, positionColumn } from './page.ts';
import type { RequestRow } from './queue/request.ts';
import { type RequestRecord, requestColumns, requestRow } from './queue/request-row.ts';

/** The signature requests of a key, or only those of one of its wallets; one more than the page's limit. */
export async function listSignatureRequests(
  pool: pg.Pool,
  { organisation, keyId, walletId }: { organisation: string; keyId: string; walletId?: string },
  page: Page,
): Promise<{ readonly row: RequestRow; readonly id: string; readonly position: string }[]> {
  const { where, values } = pageClause(page, 4);
  const { rows } = await pool.query<RequestRecord & { position: string }>(
    `select ${requestColumns}, ${positionColumn()} from request
     where key_id = $1 and organisation = $2 and kind = 'Sign' and ($3::text is null or wallet_id = $3) ${where}`,
    [keyId, organisation, walletId ?? null, ...values],
  );
  return rows.map((record) => ({ row: requestRow(record), id: record.id, position: record.position }));
}
