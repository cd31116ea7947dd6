import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { Job } from '../job.ts';

/** Rows at a time: locks and the replica's lag stay short. */
const batch = 2_000;

/** The database refuses whatever is younger than its own floor, see trim_journal(). @param keptDays for which rows are kept. */
export function createTrimJournal(keptDays: () => number): Job {
  return async ({ pool, attempt, signal, progress, audit }) => {
    const days = keptDays();
    let removed = 0;
    for (;;) {
      signal.throwIfAborted();
      const [row] = await writeUnder<{ removed: string }>(
        pool,
        attempt,
        'select trim_journal(make_interval(days => $4), $5) as removed from attempt',
        [days, batch],
      );
      const inBatch = Number(row?.removed ?? 0);
      removed += inBatch;
      if (inBatch === 0) break;
      await progress({ removed, keptDays: days });
    }
    if (removed > 0) await audit.append({ kind: 'journal-trimmed', rows: removed, keptDays: days });
    return { facts: { removed, keptDays: days }, alarms: [] };
  };
}
