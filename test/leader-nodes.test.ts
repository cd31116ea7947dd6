import t from 'tap';
import { clusterPool } from '../src/primary/cluster/statement.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { type DriverNode, isAlive, type LogLine, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { startTimer } from './support/in-time.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey } from './support/slot-worker.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** The cluster of real nodes: two, each with one of two tokens that share a master key. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const parts = { api, certificates, database: databases.driver, store };
for (const node of ['node-1', 'node-2']) api.listed.add(node);
const pool = createPool(databases.driver, { applicationName: 'test', ...clusterPool }, createLog('silent', {}));
t.teardown(() => pool.end());

async function startBoth(t: import('tap').Test): Promise<readonly [DriverNode, DriverNode]> {
  const [first, second] = await Promise.all(
    ['node-1', 'node-2'].map(async (node, at) => {
      const slots = store.slots.slice(at, at + 1);
      return startNode(t, await writeNodeConfiguration(t, { ...parts, slots, node }));
    }),
  );
  if (first === undefined || second === undefined) throw new Error('two nodes');
  await Promise.all([first.line('slot ready'), second.line('slot ready')]);
  return [first, second];
}

const leads = (node: DriverNode): number => node.count('leads the cluster') - node.count('leads the cluster no more');

t.test('a leader that was paused finds another one in its place, and never acts beside it', async (t) => {
  const nodes = await startBoth(t);
  await until('one leads', () => leads(nodes[0]) + leads(nodes[1]) === 1);
  const [leader, other] = leads(nodes[0]) === 1 ? nodes : [nodes[1], nodes[0]];
  const workers = nodes.map((node) => node.log.find((line) => line.msg === 'slot ready')?.pid ?? -1);
  process.kill(leader.pid, 'SIGSTOP');
  const taken = startTimer(t);
  const { epoch } = await other.line('leads the cluster');
  taken('taken over from the one that was paused', 5_000);
  t.match(await other.line('cluster alarm'), { alarm: /^node node-\d is dead$/ });
  t.match(await makeKey(api), { id: /^key-/ }, 'signing goes on');
  process.kill(leader.pid, 'SIGCONT');
  await leader.line('leads the cluster no more');
  t.match(await other.line('cluster alarm is over'), { alarm: /^node node-\d is dead$/ });
  const { rows } = await pool.query<{ epoch: number }>('select epoch from leader');
  t.equal(rows[0]?.epoch, epoch, 'the one that was paused has written nothing');
  t.equal(leads(other), 1);
  for (const pid of workers) t.ok(isAlive(pid), 'no worker was touched');
});

t.test('a leader that is killed is followed by another one', async (t) => {
  const nodes = await startBoth(t);
  await until('one leads', () => leads(nodes[0]) + leads(nodes[1]) === 1);
  const [leader, other] = leads(nodes[0]) === 1 ? nodes : [nodes[1], nodes[0]];
  process.kill(leader.pid, 'SIGKILL');
  const taken = startTimer(t);
  await other.line('leads the cluster');
  taken('taken over from the one that was killed', 5_000);
});

t.test('a reload of all nodes at once replaces one worker after the other', async (t) => {
  const nodes = await startBoth(t);
  await until('one leads', () => leads(nodes[0]) + leads(nodes[1]) === 1);
  for (const node of nodes) process.kill(node.pid, 'SIGHUP');
  const spans = await Promise.all(
    nodes.map(async (node) => {
      const ready = await node.line('slot ready', undefined, 2);
      await node.line('configuration is in force');
      return { from: timeOf(await node.line('worker replaced')), to: timeOf(ready) };
    }),
  );
  const [one, other] = spans.toSorted((a, b) => a.from - b.from);
  t.ok((one?.to ?? 0) <= (other?.from ?? 0), 'the second ends only when the first is ready again');
});

function timeOf(line: LogLine): number {
  return Date.parse(String(line.time));
}
