import type pg from 'pg';
import { z } from 'zod';
import { entryHash } from '../../shared/audit/entry.ts';
import type { ChainHead } from '../../shared/audit/event.ts';
import type { HeadOfChain } from '../../shared/hsm-work.ts';

/** What the job of audit anchoring reads of the chains in this database: those that grew within about a day. */
export interface RecentChain extends HeadOfChain {
  readonly program: string;
  /** For people: node and slot, or the command. */
  readonly whose: string;
  /** Of the newest entry; by the clock of the process that wrote it. */
  readonly at: Date;
}

/** A head that some chain tells of, and the entry that stands in its place now. */
export interface ToldHead extends HeadOfChain {
  /** Hash of the entry of that number; undefined where there is none. */
  readonly found: string | undefined;
}

/** What is written behind the last head of a worker’s chain that its HSM signed. */
export interface UnsignedEnd {
  readonly whose: string;
  readonly chain: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const head = z.object({ sequence: z.int().min(1), hash: z.string() });
const opened = z.object({
  program: z.string(),
  node: z.string().optional(),
  slot: z.string().optional(),
  command: z.string().optional(),
});
const dated = z.object({ at: z.coerce.date() });
const signed = z.object({ kind: z.literal('head-signed'), head });
const anchored = z.object({ kind: z.literal('head-anchored'), chain: z.uuid(), head });

/** The condition of the index `audit_heads`. */
const tellsOfHead = `entry like '%"kind":"head-%'`;
/** Of each chain: some days of a worker that is the only one. */
const mostTold = 500;
const entriesAtOnce = 500;

/** @param since ISO 8601, or null for all */
export async function recentChains(pool: pg.Pool, since: string | null): Promise<RecentChain[]> {
  const { rows } = await pool.query<{ chain: string; opened: string; sequence: number; newest: string }>(
    `select beginning.chain, beginning.entry as opened, newest.sequence::float8 as sequence, newest.entry as newest
     from audit_entry as beginning
     cross join lateral (
       select sequence, entry from audit_entry where chain = beginning.chain order by sequence desc limit 1
     ) as newest
     where beginning.sequence = 1
       and ($1::timestamptz is null or (newest.entry::jsonb ->> 'at')::timestamptz > $1::timestamptz)`,
    [since],
  );
  return rows.map(({ chain, sequence, newest, ...row }) => {
    const { program, node = '', slot, command } = opened.parse(JSON.parse(row.opened));
    const whose = command ?? [node, slot].filter((one) => one !== undefined).join('/');
    const { at } = dated.parse(JSON.parse(newest));
    return { chain, program, whose, at, head: { sequence, hash: entryHash(newest) } };
  });
}

/** The heads that these chains tell of, their own that were signed and those of others, each against what stands there. */
export async function toldHeads(pool: pg.Pool, chains: readonly RecentChain[]): Promise<ToldHead[]> {
  const told = new Map<string, HeadOfChain>();
  for (const { chain } of chains) {
    const { rows } = await pool.query<{ entry: string }>(
      `select entry from audit_entry where chain = $1 and ${tellsOfHead} order by sequence desc limit ${mostTold}`,
      [chain],
    );
    for (const { entry } of rows) {
      const one = headIn(chain, entry);
      if (one !== undefined) told.set(`${one.chain} ${one.head.sequence} ${one.head.hash}`, one);
    }
  }
  const heads = [...told.values()];
  const found: ToldHead[] = [];
  for (let at = 0; at < heads.length; at += entriesAtOnce)
    found.push(...(await withFound(pool, heads.slice(at, at + entriesAtOnce))));
  return found;
}

function headIn(chain: string, entry: string): HeadOfChain | undefined {
  const event: unknown = JSON.parse(entry);
  const own = signed.safeParse(event).data;
  return own === undefined ? anchored.safeParse(event).data : { chain, head: own.head };
}

async function withFound(pool: pg.Pool, heads: readonly HeadOfChain[]): Promise<ToldHead[]> {
  const { rows } = await pool.query<{ place: number; entry: string }>(
    `select place::float8 as place, entry from unnest($1::uuid[], $2::bigint[]) with ordinality as told (chain, sequence, place)
     join audit_entry using (chain, sequence)`,
    [heads.map(({ chain }) => chain), heads.map((one) => one.head.sequence)],
  );
  const entries = new Map(rows.map(({ place, entry }) => [place, entryHash(entry)]));
  return heads.map((one, at) => ({ ...one, found: entries.get(at + 1) }));
}

/** Of one worker’s chain. @returns undefined when all of it is spoken for */
export async function unsignedEnd(
  pool: pg.Pool,
  { chain, whose, at, head }: RecentChain,
): Promise<UnsignedEnd | undefined> {
  const last = await pool.query<{ sequence: number }>(
    `select sequence::float8 as sequence from audit_entry
     where chain = $1 and ${tellsOfHead} and entry like '%"kind":"head-signed"%' order by sequence desc limit 1`,
    [chain],
  );
  const first = (last.rows[0]?.sequence ?? 0) + 1;
  if (first > head.sequence) return undefined;
  const { rows } = await pool.query<{ entry: string }>(
    'select entry from audit_entry where chain = $1 and sequence = $2',
    [chain, first],
  );
  const from = rows[0] === undefined ? at : dated.parse(JSON.parse(rows[0].entry)).at;
  return { chain, whose, fromMs: from.getTime(), toMs: at.getTime() };
}

/** Whether the chain still has the entry that is told of. */
export function holds({ head, found }: { readonly head: ChainHead; readonly found: string | undefined }): boolean {
  return found === head.hash;
}
