import { randomUUID } from 'node:crypto';
import t from 'tap';
import { seal } from '../src/shared/audit/entry.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { noHsm, runJob } from './support/maintenance-node.ts';

/** The job that looks at the age of the last backup, over the audit log that `hsm-driver backup` tells of each in. */
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
const pool = createPool(databases.driver, { applicationName: 'test', durability: 'durable', max: 1 }, quiet);
t.teardown(() => pool.end());

async function backupWasMade(backup: string, hoursAgo: number): Promise<void> {
  const chain = randomUUID();
  const opened = { kind: 'opened', chain, program: 'command', command: 'backup', keyStore: 'test' } as const;
  const made = { kind: 'backup-made', backup, keys: 3, checksum: 'c' } as const;
  const { entries } = seal(undefined, [opened, made], { version: 'test' }, new Date(Date.now() - hoursAgo * 3_600_000));
  for (const [at, entry] of entries.entries())
    await pool.query('insert into audit_entry (chain, sequence, entry) values ($1, $2, $3)', [chain, at + 1, entry]);
}

const check = (settings: { backupMaxAgeHours?: number }) =>
  runJob(t, databases.driver, 'backup-check', noHsm, settings);

t.test('where a backup is wanted and none was ever made, that is an alarm', async (t) => {
  t.match(await check({ backupMaxAgeHours: 24 }), {
    state: 'done',
    facts: { lastBackup: 'none' },
    alarms: ['no backup of this database is known; backupMaxAgeHours is 24'],
  });
  t.strictSame((await check({})).alarms, [], 'and none where nobody wants one');
});

t.test('a backup that is too old is an alarm, until a younger one is made', async (t) => {
  await backupWasMade('old', 49);
  t.match(await check({ backupMaxAgeHours: 24 }), {
    facts: { lastBackup: 'old', ageHours: 49 },
    alarms: ['the last backup is 49 hours old; backupMaxAgeHours is 24'],
  });
  await backupWasMade('young', 2);
  await backupWasMade('older still', 72);
  const after = await check({ backupMaxAgeHours: 24 });
  t.match(after.facts, { lastBackup: 'young', ageHours: 2 });
  t.strictSame(after.alarms, []);
});
