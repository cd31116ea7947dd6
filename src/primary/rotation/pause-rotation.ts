import type pg from 'pg';
import type { Opened } from '../../shared/audit/event.ts';
import { openAuditLog } from '../../shared/audit/open-log.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import { type Attempt, writeUnder } from '../../shared/maintenance/attempt.ts';
import { rotationEvent } from '../../shared/rotation/rotation-event.ts';
import { type Rotation, rotationSubject } from '../../shared/rotation/rotation-rows.ts';

/**
 * A node pauses a rotation whose order is good no more: only a new order of the operators lets it go on. With its audit
 * entry, in one transaction.
 * @param rotation as it was read: what was resumed since, by another order, stays as it is.
 * @returns false when it is not what it was: look again. @throws AttemptOver
 */
export async function pauseRotation(
  { pool, attempt }: { readonly pool: pg.Pool; readonly attempt: Attempt },
  rotation: Rotation,
  origin: Pick<Opened, 'keyStore' | 'node'>,
): Promise<boolean> {
  return await inTransaction(pool, async (client) => {
    const paused = await writeUnder(
      client,
      attempt,
      `update rotation set state = 'paused', changed_at = clock_timestamp()
       where id = $4 and state = 'running' and resumes = $5 and exists (select from attempt) returning id`,
      [rotation.id, rotation.resumes],
    );
    if (paused.length === 0) return false;
    await openAuditLog(client, { program: 'primary', ...origin }).append(rotationEvent(rotation, 'paused'));
    return true;
  });
}

/** What people have to do about it. */
export function pausedAlarm(rotation: Rotation, why: string): string {
  const subject = rotationSubject(rotation);
  return (
    `rotation ${subject} was paused, its order is not good now: ${why}. To go on: hsm-driver rotate resume --order FILE, ` +
    `with a new order of kind rotation and subject “resume ${subject}”; to end it: hsm-driver rotate abort`
  );
}
