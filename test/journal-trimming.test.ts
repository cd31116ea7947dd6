import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openBossForCommand } from '../src/shared/maintenance/boss.ts';
import { readReports } from '../src/shared/maintenance/reports.ts';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled, maintenanceNode, ownerOf } from './support/maintenance-node.ts';
import { until } from './support/until.ts';

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

t.test(
  'the job trims what is older than configured, batch by batch, says how much, and the audit log too',
  async (t) => {
    await addRows(5_500, 500);
    await addRows(10, 399);
    const node = maintenanceNode(t, { node: 'node-1', database: databases.driver, settings: { journalDays: 400 } });
    node.start();
    const boss = openBossForCommand(owner);
    await boss.start();
    t.teardown(() => boss.stop({ graceful: false }));
    await boss.send('journal-trimming');
    const report = await until('it is done', async () =>
      (await readReports(owner)).find(({ queue, state }) => queue === 'journal-trimming' && state === 'done'),
    );
    t.strictSame(report.facts, { removed: 5_500, keptDays: 400 });
    t.strictSame(await journal(), { 20: 3, 399: 10, 40: 1 });
    const { rows } = await owner.query<{ entry: string }>('select entry from audit_entry order by sequence');
    t.match(
      rows.map(({ entry }) => JSON.parse(entry)),
      [
        { kind: 'opened', program: 'primary', node: 'node-1' },
        { kind: 'journal-trimmed', rows: 5_500, keptDays: 400 },
      ],
    );
  },
);
