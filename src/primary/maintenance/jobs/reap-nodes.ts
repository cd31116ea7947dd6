import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { Job } from '../job.ts';

/** A node that was dead for a day is not expected any more: its alarm ends. */
export const reapNodes: Job = async ({ pool, attempt, log }) => {
  const gone = await writeUnder<{ node: string }>(
    pool,
    attempt,
    `delete from node where exists (select from attempt) and seen_at < clock_timestamp() - interval '1 day'
     returning node`,
  );
  for (const { node } of gone) log.info({ dead: node }, 'node was dead for a day; forgotten');
  return { facts: { forgotten: gone.length }, alarms: [] };
};
