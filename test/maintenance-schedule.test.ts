import { TestClock } from 'pg-boss';
import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { type Attempt, AttemptOver, writeUnder } from '../src/shared/maintenance/attempt.ts';
import { installMaintenance } from '../src/shared/maintenance/install.ts';
import { openTestDatabases } from './support/database.ts';
import { type MaintenanceNode, maintenanceNode, ownerOf } from './support/maintenance-node.ts';
import { until } from './support/until.ts';

/** Five nodes, one clock that only this test moves, and a job that is due five minutes past each hour. */
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installMaintenance(databases.driver, quiet);
const owner = ownerOf(databases.driver);
const pool = createPool(owner, { applicationName: 'test', durability: 'durable', max: 2 }, quiet);
t.teardown(() => pool.end());

const clock = new TestClock('2040-03-01T00:30:00Z');
const runs: { readonly node: string; readonly attempt: Attempt }[] = [];
let duringRun: (run: { attempt: Attempt; signal: AbortSignal }) => Promise<void> = async () => {};
const nodes: MaintenanceNode[] = [];
let doneJobs = 0;

function startNode(name: string): MaintenanceNode {
  const node = maintenanceNode(t, {
    node: name,
    database: owner,
    pollSeconds: 30,
    clock,
    jobs: {
      async 'node-reaping'({ attempt, signal }) {
        runs.push({ node: name, attempt });
        await duringRun({ attempt, signal });
        return { facts: { runs: runs.length }, alarms: [] };
      },
    },
  });
  node.start();
  return node;
}

for (const name of ['a', 'b', 'c', 'd', 'e']) {
  const node = startNode(name);
  nodes.push(node);
  // The test clock joins one at a time.
  await until('the node’s maintenance has started', () => node.log.some(({ msg }) => msg === 'maintenance started'));
}

function insertInto(queue: string): string {
  return `insert into job_report (queue, state, node, started_at)
    select '${queue}', 'done', 'test', now() from attempt returning queue`;
}

const hour = (n: number, minutes: number): Date => new Date(Date.UTC(2040, 2, 1, n, minutes));

/** From shortly before the hour’s job is due until well after it. */
async function passHour(n: number): Promise<void> {
  await clock.setTime(hour(n, 4));
  for (let seconds = 0; seconds < 180; seconds += 15) await clock.tick(15_000);
}

async function oneMoreIsDone(): Promise<void> {
  doneJobs += 1;
  await until('one more job is done', async () => {
    const { rows } = await pool.query<{ done: number }>(
      "select count(*)::int as done from maintenance.job where name = 'node-reaping' and state = 'completed'",
    );
    return rows[0]?.done === doneJobs;
  });
}

t.test('a scheduled job runs once in its period, though five nodes look', async (t) => {
  for (const n of [1, 2, 3]) {
    await passHour(n);
    await until('it ran', () => runs.length >= n);
    await oneMoreIsDone();
  }
  t.equal(runs.length, 3);
  const { rows } = await pool.query("select state, facts, problem from job_report where queue = 'node-reaping'");
  t.strictSame(rows, [{ state: 'done', facts: { runs: 3 }, problem: null }], 'what the last run said is kept');
});

t.test('a run that lasts longer than it may is taken over; what wakes up later changes nothing', async (t) => {
  const stuck = Promise.withResolvers<void>();
  let told: AbortSignal | undefined;
  duringRun = async ({ attempt, signal }) => {
    if (attempt.retryCount > 0) return;
    told = signal;
    await stuck.promise;
  };
  await passHour(4);
  await until('another attempt was made', () => runs.length === 5);
  await oneMoreIsDone();
  const [first, second] = runs.slice(3).map(({ attempt }) => attempt) as [Attempt, Attempt];
  t.equal(second.id, first.id, 'the same job');
  t.equal(second.retryCount, first.retryCount + 1);
  t.ok(told?.aborted, 'the first was told to end');
  await t.rejects(writeUnder(pool, first, insertInto('stuck')), AttemptOver);
  const { rows } = await pool.query("select 1 from job_report where queue = 'stuck'");
  t.strictSame(rows, []);
  stuck.resolve();
  duringRun = async () => {};
});

t.test('while an attempt lives what it changes is changed', async (t) => {
  duringRun = async ({ attempt }) => void (await writeUnder(pool, attempt, insertInto('alive')));
  await passHour(5);
  await oneMoreIsDone();
  const { rows } = await pool.query("delete from job_report where queue = 'alive' returning queue");
  t.equal(rows.length, 1);
  duringRun = async () => {};
});

t.test('periods in which the database was restarted are not lost and not doubled', async (t) => {
  const before = runs.length;
  await databases.stop();
  await databases.restart();
  await until('the database answers', async () => (await pool.query('select 1').catch(() => undefined)) !== undefined);
  await passHour(6);
  await until('it ran', () => runs.length > before);
  await oneMoreIsDone();
  t.equal(runs.length, before + 1);
});

t.test('after nodes have left, the one that stays goes on', async (t) => {
  const before = runs.length;
  for (const node of nodes.slice(0, 4)) await node.stop();
  await passHour(7);
  await until('it ran', () => runs.length > before);
  await oneMoreIsDone();
  t.strictSame(
    runs.slice(before).map(({ node }) => node),
    ['e'],
  );
});

t.test('periods that passed while no node ran are made up for by one run', async (t) => {
  const before = runs.length;
  await (nodes[4] as MaintenanceNode).stop();
  await clock.setTime(hour(15, 30));
  const node = startNode('f');
  await until('it has started', () => node.log.some(({ msg }) => msg === 'maintenance started'));
  for (let seconds = 0; seconds < 120; seconds += 15) await clock.tick(15_000);
  await until('it ran', () => runs.length > before);
  await oneMoreIsDone();
  t.equal(runs.length, before + 1);
});
