import { z } from 'zod';
import { CodedError } from '../shared/errors.ts';

/** Lists, newest first, page by page: a page begins behind the last row of the one before, whatever was added since. */
export interface Page {
  readonly limit: number;
  /** The last row that was shown. */
  readonly after?: Position;
}

export interface Position {
  /** As `positionColumn` writes it. */
  readonly at: string;
  readonly id: string;
}

const usualLimit = 50;
const largestLimit = 100;

export const pageQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,9}$/, 'must be a number')
    .optional()
    .describe(`At most ${largestLimit}, ${usualLimit} when absent`),
  paginationToken: z.string().max(256).optional().describe('nextPageToken of the page before'),
});

/** A row's place in its list, to the microsecond: a column for `select`. */
export function positionColumn(createdAt = 'created_at'): string {
  return `to_char(${createdAt} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as position`;
}

/** Ends a `select`; one row more than asked tells whether there is another page. */
export function pageClause({ limit, after }: Page, first: number, createdAt = 'created_at', id = 'id') {
  return {
    where: `and ($${first}::timestamptz is null or (${createdAt}, ${id}) < ($${first}::timestamptz, $${first + 1}::text))
       order by ${createdAt} desc, ${id} desc limit $${first + 2}`,
    values: [after?.at ?? null, after?.id ?? null, limit + 1],
  };
}

/** @throws BAD_REQUEST for a token that is none of ours. */
export function readPage({ limit, paginationToken }: z.infer<typeof pageQuery>): Page {
  const wanted = limit === undefined ? usualLimit : Math.min(Math.max(Number(limit), 1), largestLimit);
  if (paginationToken === undefined) return { limit: wanted };
  return { limit: wanted, after: positionOf(paginationToken) };
}

const tokenText = /^(2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([\x21-\x7e]{1,200})$/;

function positionOf(token: string): Position {
  const [, at, id] = tokenText.exec(Buffer.from(token, 'base64url').toString('latin1')) ?? [];
  if (at === undefined || id === undefined || !isDate(at))
    throw new CodedError('BAD_REQUEST', 'paginationToken is none that this API gave');
  return { at, id };
}

/** JavaScript takes 31 February for a day in March; the database does not. */
function isDate(at: string): boolean {
  const ms = Date.parse(at);
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === at.slice(0, 10);
}

/** @param rows one more than the page's limit where there is another page. */
export function paged<Row extends { readonly position: string; readonly id: string }, Item>(
  { limit }: Page,
  rows: readonly Row[],
  item: (row: Row) => Item,
): { items: Item[]; nextPageToken?: string } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const items = shown.map(item);
  if (rows.length <= limit || last === undefined) return { items };
  return { items, nextPageToken: Buffer.from(`${last.position} ${last.id}`, 'latin1').toString('base64url') };
}

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextPageToken: z.string().optional() });
}
