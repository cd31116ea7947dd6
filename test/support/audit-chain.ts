import { createHash } from 'node:crypto';
import type pg from 'pg';

/** One entry as the database has it. */
export interface StoredEntry {
  readonly sequence: number;
  readonly line: string;
  readonly event: Record<string, unknown> & { readonly kind: string };
}

export async function readChain(pool: Pick<pg.Pool, 'query'>, chain: string): Promise<StoredEntry[]> {
  const { rows } = await pool.query<{ sequence: string; entry: string }>(
    'select sequence, entry from audit_entry where chain = $1 order by sequence',
    [chain],
  );
  return rows.map(({ sequence, entry }) => ({ sequence: Number(sequence), line: entry, event: JSON.parse(entry) }));
}

/** Everything that is wrong with a chain, by its rule alone and none of the program's code. */
export function chainFaults(entries: readonly StoredEntry[]): string[] {
  return entries.flatMap(({ sequence, event }, at) => {
    const before = entries[at - 1];
    const previous = before === undefined ? null : createHash('sha256').update(before.line).digest('base64url');
    const faults: string[] = [];
    if (sequence !== at + 1 || event.sequence !== sequence) faults.push(`number ${sequence} at place ${at + 1}`);
    if (event.previous !== previous) faults.push(`entry ${sequence} does not follow`);
    if ((at === 0) !== (event.kind === 'opened')) faults.push(`entry ${sequence} is ${event.kind}`);
    return faults;
  });
}
