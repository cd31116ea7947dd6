import type { AuditChain } from '../../shared/audit/chain.ts';
import { entryHash } from '../../shared/audit/entry.ts';
import type { HeadAnchored } from '../../shared/audit/event.ts';
import type { Log } from '../../shared/log.ts';
import type { DriverDatabase, Statement } from '../database.ts';

/**
 * Tells in this worker's chain, whose heads are signed, how far the other chains have come: those of primaries and
 * commands, which have no HSM to sign their heads, and of workers that are gone. Cutting one of them shows here.
 */
export interface ChainAnchoring {
  stop(): void;
}

export interface AnchoringParts {
  readonly database: Pick<DriverDatabase, 'query'>;
  readonly audit: AuditChain;
  readonly mayWork: () => boolean;
  readonly log: Log;
}

const firstMs = 60_000;
const everyMs = 3_600_000;

export function startAnchoring({ database, audit, mayWork, log }: AnchoringParts): ChainAnchoring {
  const known = new Map<string, number>();
  let timer: NodeJS.Timeout;

  /** Jittered, so that many workers do not ask as one. */
  function later(ms: number): void {
    timer = setTimeout(() => void once(), ms * (0.8 + Math.random() * 0.4));
    timer.unref();
  }

  async function once(): Promise<void> {
    try {
      if (mayWork()) await anchorChains(database, audit, known);
    } catch (error) {
      log.warn({ cause: (error as Error).message }, 'audit chains not anchored; tried again in an hour');
    }
    later(everyMs);
  }

  later(firstMs);
  return { stop: () => clearTimeout(timer) };
}

/** @param known how far each chain was when it was last anchored by this process. */
export async function anchorChains(
  database: Pick<DriverDatabase, 'query'>,
  audit: AuditChain,
  known: Map<string, number>,
): Promise<void> {
  const rows = await database.query<{ chain: string; sequence: string; entry: string }>(newestEntries, [audit.id]);
  const events = rows.flatMap(({ chain, sequence, entry }): HeadAnchored[] => {
    const head = { sequence: Number(sequence), hash: entryHash(entry) };
    return (known.get(chain) ?? 0) < head.sequence ? [{ kind: 'head-anchored', chain, head }] : [];
  });
  if (events.length === 0) return;
  await audit.append(...events);
  for (const { chain, head } of events) known.set(chain, head.sequence);
}

/** Chains that grew lately: each is told of by several workers, hour by hour, and then needs it no more. */
const newestEntries: Statement = {
  name: 'worker_newest_audit_entries',
  text: `select beginning.chain, newest.sequence, newest.entry
    from audit_entry as beginning
    cross join lateral (
      select sequence, entry from audit_entry where chain = beginning.chain order by sequence desc limit 1
    ) as newest
    where beginning.sequence = 1 and beginning.chain <> $1::uuid
      and (newest.entry::jsonb ->> 'at')::timestamptz > now() - interval '25 hours'`,
};
