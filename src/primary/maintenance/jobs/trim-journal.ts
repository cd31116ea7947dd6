import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { Job } from '../job.ts';

/**
 * Rows at a time, as many as the database allows: each batch leaves an entry in the audit log, and locks and the replica’s
 * lag stay short still.
 */
const batch = 10_000;

/**
 * A batch is told in the transaction that removes it: whatever interrupts the job, what is gone was told. The database
 * refuses whatever is younger than its own floor, see trim_journal().
 * @param keptDays for which rows are kept.
 */
export function createTrimJournal(keptDays: () => number): Job {
  return async ({ attempt, signal, progress, audit }) => {
    const days = keptDays();
    let removed = 0;
    for (;;) {
      signal.throwIfAborted();
      const inBatch = await audit.recordChange(async (client) => {
        const [row] = await writeUnder<{ removed: string }>(
          client,
          attempt,
          'select trim_journal(make_interval(days => $4), $5) as removed from attempt',
          [days, batch],
        );
        const rows = Number(row?.removed ?? 0);
        return { result: rows, events: rows === 0 ? [] : [{ kind: 'journal-trimmed', rows, keptDays: days }] };
      });
      removed += inBatch;
      if (inBatch === 0) break;
      await progress({ removed, keptDays: days });
    }
    return { facts: { removed, keptDays: days }, alarms: [] };
  };
}
