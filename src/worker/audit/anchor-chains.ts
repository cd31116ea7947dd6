import type { AuditChain } from '../../shared/audit/chain.ts';
import type { HeadAnchored } from '../../shared/audit/event.ts';
import { auditParameters, insertEntriesText } from '../../shared/audit/insert-entries.ts';
import type { HsmWorkOf, ToldOfChains } from '../../shared/hsm-work.ts';
import { AttemptOver, attemptFence, attemptValues } from '../../shared/maintenance/attempt.ts';
import type { DriverDatabase, Statement } from '../database.ts';

/**
 * Tells in this worker’s chain, whose heads are signed, how far the other chains have come: those of primaries and
 * commands, which have no HSM to sign their heads, and of workers that are gone. Cutting one of them shows here.
 * @throws AttemptOver when the job’s attempt is over: nothing was written.
 */
export async function anchorChains(
  database: Pick<DriverDatabase, 'query'>,
  audit: AuditChain,
  { attempt, heads }: Omit<HsmWorkOf<'anchor-chains'>, 'kind'>,
): Promise<ToldOfChains> {
  const events = heads
    .filter(({ chain }) => chain !== audit.id)
    .map(({ chain, head }): HeadAnchored => ({ kind: 'head-anchored', chain, head }));
  if (events.length === 0) return { inChain: audit.id, told: 0 };
  await audit.record(events, async (rows) => {
    const values = [...attemptValues(attempt), ...auditParameters(rows)];
    const [answer] = await database.query<{ written: boolean }>(insertUnderAttempt, values);
    if (answer?.written !== true) throw new AttemptOver(attempt);
  });
  return { inChain: audit.id, told: events.length };
}

/** Repeated after a lost connection, it finds what it may have written although the attempt is over by then. */
const insertUnderAttempt: Statement = {
  name: 'worker_anchor_chains',
  text: `with ${attemptFence}, told as (${insertEntriesText(4, 'exists (select from attempt)')})
    select exists (select from attempt)
      or exists (select from audit_entry where chain = $4::uuid and sequence = $5::bigint) as written`,
};
