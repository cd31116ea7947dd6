import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { installMaintenance } from '../src/shared/maintenance/install.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { type DriverNode, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { ownerOf } from './support/maintenance-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Three real nodes, a job that is due each minute, and kill -9 of the primary that leads the cluster. */
t.setTimeout(400_000);
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installMaintenance(databases.driver, quiet);
const owner = createPool(ownerOf(databases.driver), { applicationName: 'test', durability: 'durable', max: 1 }, quiet);
t.teardown(() => owner.end());
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const nodes: Record<string, DriverNode> = {};
for (const [at, node] of ['node-1', 'node-2', 'node-3'].entries()) {
  api.listed.add(node);
  const slots = store.slots.slice(at % 2, (at % 2) + 1);
  const parts = { api, certificates, database: databases.driver, store, slots, node };
  nodes[node] = startNode(t, await writeNodeConfiguration(t, parts, { maintenance: { pollSeconds: 0.5 } }));
  await nodes[node]?.line('slot ready');
}

interface Run {
  readonly minute: string;
  readonly runs: number;
  readonly done: number;
}

/** Minute by minute, how often the job was made, and how many of these are done. */
async function runs(): Promise<Run[]> {
  const { rows } = await owner.query<Run>(
    `select to_char(created_on, 'HH24:MI') as minute, count(*)::int as runs,
       (count(*) filter (where state = 'completed'))::int as done
     from maintenance.job where name = 'node-reaping' group by 1 order by min(created_on)`,
  );
  return rows;
}

async function said() {
  const { rows } = await owner.query<{ node: string; facts: unknown }>(
    "select node, facts from job_report where queue = 'node-reaping'",
  );
  return rows[0];
}

t.test('the job runs once in its minute, and forgets the node that was dead for a day', async (t) => {
  for (const [node, ago] of [
    ['gone', '25 hours'],
    ['resting', '20 hours'],
  ])
    await owner.query(
      `insert into node (node, instance, version, slots, seen_at)
       values ($1, gen_random_uuid(), 'test', '[]', now() - $2::interval)`,
      [node, ago],
    );
  await until('both are known as dead', () =>
    Object.values(nodes).some(({ log }) => log.filter(({ msg }) => msg === 'cluster alarm').length >= 2),
  );
  // At the very end of a minute the next one would be due before this one is done.
  await until('a minute has begun', () => new Date().getSeconds() < 40, 60_000);
  await owner.query("update maintenance.schedule set cron = '* * * * *' where name = 'node-reaping'");
  await until('it is done', async () => (await runs())[0]?.done === 1);
  t.match(await runs(), [{ runs: 1, done: 1 }]);
  t.match(await said(), { facts: { forgotten: 1 } });
  // By the runtime role, which may change nothing else of a schedule.
  await until('the schedule names its last run', async () => {
    const { rows } = await owner.query(
      "select last_job_id as id from maintenance.schedule where name = 'node-reaping'",
    );
    return rows[0]?.id !== null;
  });
  for (const { log } of Object.values(nodes)) t.notMatch(log.map(({ cause }) => cause).join('\n'), /permission denied/);
  const { rows } = await owner.query('select node from node order by node');
  t.strictSame(
    rows.map(({ node }) => node),
    ['node-1', 'node-2', 'node-3', 'resting'],
  );
});

t.test('with the leader killed it runs once in the next minute, on a node that lives', async (t) => {
  const leader = await until('one leads', async () => {
    const { rows } = await owner.query<{ node: string }>('select node from leader where until > clock_timestamp()');
    return rows[0]?.node;
  });
  const killed = nodes[leader];
  if (killed === undefined) throw new Error(`${leader} leads`);
  process.kill(killed.pid, 'SIGKILL');
  await killed.exited;
  const before = (await runs()).length;
  await until('the next minute’s is done', async () => (await runs())[before]?.done === 1, 90_000);
  // Every node that lives has looked again by then, and found nothing to do.
  const { rows } = await owner.query<{ at: Date }>('select cron_on as at from maintenance.version');
  const at = rows[0]?.at.getTime() ?? 0;
  await until('schedules were looked at again and again', async () => {
    const { rows } = await owner.query<{ at: Date }>('select cron_on as at from maintenance.version');
    return (rows[0]?.at.getTime() ?? 0) > at + 3_000;
  });
  const all = await runs();
  t.match(all, [{ runs: 1 }, { runs: 1, done: 1 }]);
  t.equal(all.length, 2, 'no minute was left out and none doubled');
  t.not((await said())?.node, leader);
  t.ok(
    Object.entries(nodes).some(([node, { count }]) => node !== leader && count('leads the cluster') > 0),
    'another one leads',
  );
});
