import { auditParameters, insertEntriesText } from '../../../shared/audit/insert-entries.ts';
import type { CheckedKey } from '../../../shared/hsm-work.ts';
import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { JobRun } from '../job.ts';
import { NothingChanged } from '../job-audit.ts';

/**
 * Bad data is not a bad slot, and one slot’s word is not enough where there are two: a key that does not open is marked
 * `broken` when a second slot says the same, or when it is the node’s only slot and proved to be well (the worker read the
 * row twice and opened its start-up blob in between). A marked key signs nothing until it is restored from a backup.
 */
export async function markIfConfirmed(run: JobRun, { keyId, problem = '' }: CheckedKey): Promise<void> {
  const { hsm, signal, log } = run;
  const slots = hsm.readySlots();
  if (slots.length > 1) {
    for (const slot of slots) {
      const [checked] = await hsm.ask({ kind: 'check-keys', keyIds: [keyId] }, signal, slot);
      if (checked?.verdict !== 'unusable')
        return log.warn({ keyId, slot, verdict: checked?.verdict }, 'slots disagree on a key');
    }
  }
  const { tag, newTag } = await hsm.ask({ kind: 'mark-broken', keyId }, signal);
  try {
    await store(run, keyId, tag, newTag, problem);
    log.error({ keyId }, 'stored key marked as broken');
  } catch (error) {
    if (!(error instanceof NothingChanged)) throw error;
    log.info({ keyId, cause: error.message }, 'stored key not marked');
  }
}

/** A compare-and-swap: the row is still the one that was found broken, and this attempt is still the one that counts. */
async function store(run: JobRun, keyId: string, tag: string, newTag: string, reason: string): Promise<void> {
  const { pool, attempt, audit } = run;
  await audit.record([{ kind: 'key-marked', keyId, status: 'broken', reason }], async (rows) => {
    const marked = await writeUnder(
      pool,
      attempt,
      `, marked as (
         update wrapped_key set status = 'broken', tag = decode($5, 'base64')
         where key_id = $4 and tag = decode($6, 'base64') and status = 'active' and exists (select from attempt)
         returning key_id),
       told as (${insertEntriesText(7, 'exists (select from marked)')})
       select key_id from marked`,
      [keyId, newTag, tag, ...auditParameters(rows)],
    );
    if (marked.length === 0) throw new NothingChanged(`key ${keyId} is not as it was any more`);
  });
}
