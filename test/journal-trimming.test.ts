import { randomUUID } from 'node:crypto';
import t from 'tap';
import type { Job } from '../src/primary/maintenance/job.ts';
import { createTrimJournal } from '../src/primary/maintenance/jobs/trim-journal.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled, noHsm, ownerOf, runJob } from './support/maintenance-node.ts';

const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installUnscheduled(databases.driver);
const options = { applicationName: 'test', durability: 'durable', max: 2 } as const;
const runtime = createPool(databases.driver, options, quiet);
const owner = createPool(ownerOf(databases.driver), options, quiet);
t.teardown(() => Promise.all([runtime.end(), owner.end()]));

async function addRows(count: number, days: number): Promise<void> {
  await owner.query(
    `insert into journal (request_id, key_id, payload_digest, signatures, recids, slot, instance, master_key_id, signed_at)
     select $2 || '-' || n, 'key', '\\x00', '{}', '{}', 'slot', $3, 'mk', now() - make_interval(days => $2::int)
     from generate_series(1, $1::int) as n`,
    [count, String(days), randomUUID()],
  );
}

async function journal(): Promise<Record<string, number>> {
  const { rows } = await owner.query<{ days: string; count: number }>(
    "select split_part(request_id, '-', 1) as days, count(*)::int as count from journal group by 1 order by 1",
  );
  return Object.fromEntries(rows.map(({ days, count }) => [days, count]));
}

t.test('the runtime role takes no row out of the journal but by the function, which keeps thirty days', async (t) => {
  await addRows(3, 20);
  await addRows(3, 40);
  await t.rejects(runtime.query('delete from journal'), { code: '42501' });
  for (const younger of ["interval '29 days'", "interval '0'", 'null', "interval '-1 year'"]) {
    await t.rejects(runtime.query(`select trim_journal(${younger}, 10)`), { code: '23514' }, younger);
  }
  t.strictSame(await journal(), { 20: 3, 40: 3 });
  const { rows } = await runtime.query("select trim_journal(interval '30 days', 2) as removed");
  t.match(rows, [{ removed: '2' }], 'in batches');
  t.strictSame(await journal(), { 20: 3, 40: 1 });
});

/** What the audit log tells of the journal, and the names of its other entries. */
async function told() {
  const { rows } = await owner.query<{ entry: string }>('select entry from audit_entry order by chain, sequence');
  const entries = rows.map(({ entry }) => JSON.parse(entry) as { kind: string; rows?: number; keptDays?: number });
  return { kinds: entries.map(({ kind }) => kind), trimmed: entries.filter(({ kind }) => kind === 'journal-trimmed') };
}

t.test(
  'the job trims what is older than configured, batch by batch, says how much, and the audit log too',
  async (t) => {
    await addRows(15_500, 500);
    await addRows(10, 399);
    const report = await runJob(t, databases.driver, 'journal-trimming', noHsm, { journalDays: 400 });
    t.match(report, { state: 'done', facts: { removed: 15_500, keptDays: 400 } });
    t.strictSame(await journal(), { 20: 3, 399: 10, 40: 1 });
    const { kinds, trimmed } = await told();
    t.strictSame(kinds, ['opened', 'journal-trimmed', 'journal-trimmed'], 'one chain');
    t.match(trimmed, [
      { rows: 10_000, keptDays: 400 },
      { rows: 5_500, keptDays: 400 },
    ]);
    await forget();
  },
);

t.test('what a job has removed that is interrupted between two batches is told', async (t) => {
  await addRows(25_000, 500);
  let batches = 0;
  const trim = createTrimJournal(() => 400);
  const interrupted: Job = (run) =>
    trim({
      ...run,
      async progress() {
        batches += 1;
        throw new Error('interrupted');
      },
    });
  const jobs = { 'journal-trimming': interrupted };
  const report = await runJob(t, databases.driver, 'journal-trimming', noHsm, {}, jobs);
  t.match(report, { state: 'failed', problem: 'interrupted' });
  t.equal(batches, 3, 'each attempt removed one');
  t.strictSame(await journal(), { 20: 3, 399: 10, 40: 1 });
  t.match((await told()).trimmed, [{ rows: 10_000 }, { rows: 10_000 }, { rows: 5_000 }]);
  await forget();
});

t.test('and nothing is removed that cannot be told', async (t) => {
  await addRows(100, 500);
  const { user } = databases.driver;
  await owner.query(`revoke insert on audit_entry from "${user}"`);
  const report = await runJob(t, databases.driver, 'journal-trimming');
  t.match(report, { state: 'failed', problem: /permission denied/ });
  t.strictSame(await journal(), { 20: 3, 399: 10, 40: 1, 500: 100 });
  await owner.query(`grant insert on audit_entry to "${user}"`);
  t.match(await runJob(t, databases.driver, 'journal-trimming'), { state: 'done', facts: { removed: 100 } });
  t.match(await told(), { kinds: ['opened', 'journal-trimmed'], trimmed: [{ rows: 100 }] });
});

async function forget(): Promise<void> {
  await owner.query('truncate audit_entry');
}
