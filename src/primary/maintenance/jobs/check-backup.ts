import type pg from 'pg';
import type { Job } from '../job.ts';

const hourMs = 3_600_000;

/**
 * Whether the last backup is young enough: `hsm-driver backup` tells of each in the audit log of this database.
 * @param oldest allowed age in hours; undefined: nobody is told.
 */
export function createBackupCheck(oldest: () => number | undefined): Job {
  return async ({ pool }) => {
    const maxAgeHours = oldest();
    const last = await lastBackup(pool);
    const ageHours = last === undefined ? undefined : (Date.now() - Date.parse(last.at)) / hourMs;
    const facts = {
      lastBackup: last?.backup ?? 'none',
      ...(ageHours === undefined ? {} : { ageHours: Math.round(ageHours * 10) / 10 }),
    };
    if (maxAgeHours === undefined || (ageHours !== undefined && ageHours <= maxAgeHours)) return { facts, alarms: [] };
    const sentence =
      ageHours === undefined
        ? 'no backup of this database is known'
        : `the last backup is ${Math.round(ageHours)} hours old`;
    return { facts, alarms: [`${sentence}; backupMaxAgeHours is ${maxAgeHours}`] };
  };
}

interface MadeBackup {
  readonly at: string;
  readonly backup: string;
}

/** The condition is that of the index `audit_backups`. */
async function lastBackup(pool: pg.Pool): Promise<MadeBackup | undefined> {
  const { rows } = await pool.query<{ entry: string }>(
    `select entry from audit_entry where entry like '%"kind":"backup-made"%'`,
  );
  const made = rows.map(({ entry }) => JSON.parse(entry) as MadeBackup);
  return made.reduce<MadeBackup | undefined>(
    (last, one) => (last === undefined || one.at > last.at ? one : last),
    undefined,
  );
}
