import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse, stringify } from 'yaml';
import { freePort } from '../scripts/setup/free-port.js';
import type { NodeStatus } from '../src/primary/operations/status.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { isAlive, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey } from './support/slot-worker.ts';
import { createKeyStore, pin, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const parts = { api, certificates, database: databases.driver, store };
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 1, durability: 'durable' },
  createLog('silent', {}),
);
t.teardown(() => pool.end());
const [slotA, slotB] = store.slots;
const ofA = (line: Record<string, unknown>) => line.slot === 'a';
const ofB = (line: Record<string, unknown>) => line.slot === 'b';

function edit(file: string, change: Record<string, unknown>): void {
  writeFileSync(file, stringify({ ...parse(readFileSync(file, 'utf8')), ...change }));
}

t.test('a configuration that is not valid changes nothing, not even for a worker that is replaced later', async (t) => {
  const file = await writeNodeConfiguration(t, parts);
  const node = startNode(t, file);
  const { pid } = await node.line('slot ready');
  const refused = (nth: number) => node.line('configuration not accepted; the old one stays in force', undefined, nth);
  edit(file, { colour: 'red', keyStore: 7 });
  process.kill(node.pid, 'SIGHUP');
  t.match((await refused(1)).problems, [/2 problems.*keyStore.*colour/]);
  edit(file, { colour: undefined, keyStore: 'store', node: 'node-2' });
  process.kill(node.pid, 'SIGHUP');
  t.match((await refused(2)).problems, [/node cannot change/]);
  edit(file, { node: 'node-1', slots: [{ ...slotA, module: '/no.so', pinFile: '/none' }] });
  process.kill(node.pid, 'SIGHUP');
  t.match((await refused(3)).problems, [/SECRET_FILE|pinFile/, /no\.so/], 'all that is wrong');
  t.ok(isAlive(pid), 'its worker was left alone');

  process.kill(pid, 'SIGKILL');
  const again = await node.line('slot ready', undefined, 2);
  t.not(again.pid, pid);
  t.match(await makeKey(api), { id: /^key-/ });
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test(
  'workers are replaced one at a time; slots come and go; the terminal’s SIGHUP is only for the primary',
  async (t) => {
    const port = await freePort();
    const file = await writeNodeConfiguration(t, { ...parts, slots: [slotA] });
    const node = startNode(t, file);
    const first = await node.line('slot ready', ofA);

    edit(file, { slots: [slotA, slotB], operations: { port } });
    node.signalGroup('SIGHUP');
    await node.line('configuration is in force');
    const b = await node.line('slot ready', ofB);
    const second = await node.line('slot ready', ofA, 2);
    t.not(second.pid, first.pid);
    const status = await (await fetch(`http://127.0.0.1:${port}/status`)).json();
    t.match(status, { slots: [{ name: 'a', restarts: { RELOAD: 1 } }, { name: 'b' }] });

    // Both are there now: each is replaced, the second only when the first is ready.
    process.kill(node.pid, 'SIGHUP');
    await node.line('configuration is in force', undefined, 2);
    const at = (found: unknown): number => node.log.indexOf(found as (typeof node.log)[number]);
    const aReady = await node.line('slot ready', ofA, 3);
    const bReady = await node.line('slot ready', ofB, 2);
    const aGone = await node.line('worker replaced', ofA, 2);
    const bGone = await node.line('worker replaced', ofB, 1);
    const order = [aGone, aReady, bGone, bReady].map(at);
    t.strictSame(
      order,
      order.toSorted((x, y) => x - y),
      'one after the other',
    );
    t.notOk(isAlive(b.pid));

    edit(file, { slots: [slotB], operations: undefined });
    process.kill(node.pid, 'SIGHUP');
    await node.line('configuration is in force', undefined, 3);
    t.notOk(isAlive(aReady.pid), 'the slot that was taken out has no worker');
    await t.rejects(fetch(`http://127.0.0.1:${port}/status`));
    t.match(await makeKey(api), { id: /^key-/ });
    t.equal(node.count('worker gone; it is replaced'), 0);
    node.signalGroup('SIGTERM');
    t.strictSame(await node.exited, { code: 0, signal: null });
  },
);

t.test('a wrong address of the API costs one worker; the node ends when told to, in the middle of it', async (t) => {
  const [port, closed] = [await freePort(), await freePort()];
  const file = await writeNodeConfiguration(t, { ...parts, slots: [slotA, slotB] }, { operations: { port } });
  const { api: right } = parse(readFileSync(file, 'utf8'));
  const wrong = { ...right, addresses: [`https://127.0.0.1:${closed}`] };
  const node = startNode(t, file);
  await node.line('slot ready', ofA);
  const b = await node.line('slot ready', ofB);
  const reasons = async (): Promise<string[]> => {
    const status = (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as NodeStatus;
    return [...status.readiness.reasons];
  };
  await until('both have leased', async () => (await reasons()).length === 0);

  edit(file, { api: wrong });
  process.kill(node.pid, 'SIGHUP');
  await node.line('slot ready', ofA, 2);
  const triedInVain = async (): Promise<number> => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^hsm_driver_events_total\{slot="a",event="lease_calls_failed"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
  };
  // Longer than a turn takes to be granted.
  await until('it tries', async () => (await triedInVain()) >= 4);
  t.match(await reasons(), ['slot a cannot reach the signing API', 'slot a has not asked for work yet']);
  t.equal(node.count('worker replaced'), 1);
  t.ok(isAlive(b.pid), 'the other one goes on');
  t.match(await makeKey(api), { id: /^key-/ });

  edit(file, { api: right });
  process.kill(node.pid, 'SIGHUP');
  await node.line('configuration is in force');
  t.same(await reasons(), [], 'each had leased before the next was replaced');

  edit(file, { api: wrong });
  process.kill(node.pid, 'SIGHUP');
  await node.line('slot ready', ofA, 4);
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
  t.equal(node.count('worker replaced', ofB), 1);
});

t.test('a new PIN that is wrong costs one worker; the right one, written later, mends it by itself', async (t) => {
  const directory = temporaryDirectory(t);
  const pinFile = join(directory, 'pin');
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  const slots = [
    { ...slotA, pinFile },
    { ...slotB, pinFile },
  ];
  const file = await writeNodeConfiguration(t, { ...parts, slots });
  const node = startNode(t, file);
  await node.line('slot ready', ofA);
  const b = await node.line('slot ready', ofB);

  writeFileSync(pinFile, '99999\n');
  process.kill(node.pid, 'SIGHUP');
  t.match(await node.line('new PIN refused; workers that share it keep their login'), { slot: 'a' });
  t.match(await node.line('not replaced: its PIN was just refused elsewhere'), { slot: 'b' });
  t.match(await node.line('worker gone; it is not started again', ofA), { fault: 'PIN_REFUSED' });
  t.ok(isAlive(b.pid), 'the other one keeps its login');
  t.match(await makeKey(api), { id: /^key-/ });
  t.equal(node.count('worker started', ofA), 2, 'one try');

  writeFileSync(pinFile, `${pin}\n`);
  await node.line('PIN file changed; the slot is tried again', ofA);
  await node.line('slot ready', ofA, 2);
  t.ok(isAlive(b.pid));
  t.equal(node.count('worker started', ofB), 1);
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('half of a renewal, and an empty PIN file, cost no worker; one that is replaced meanwhile waits', async (t) => {
  const directory = temporaryDirectory(t);
  const pinFile = join(directory, 'pin');
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  const slots = [{ ...slotA, pinFile }];
  const file = await writeNodeConfiguration(t, { ...parts, slots });
  const { privateKeyFile } = parse(readFileSync(file, 'utf8')).api;
  const rightKeyFile = join(directory, 'right-key.pem');
  copyFileSync(privateKeyFile, rightKeyFile);
  const node = startNode(t, file);
  const { pid } = await node.line('slot ready');

  copyFileSync((await certificates.client('node-2')).privateKeyFile, privateKeyFile);
  writeFileSync(pinFile, '');
  process.kill(node.pid, 'SIGHUP');
  const { problems } = await node.line('configuration not accepted; the old one stays in force');
  t.match(problems, [/pin is empty/, /do not fit together/], 'all that is wrong');
  t.ok(isAlive(pid), 'its worker was left alone');
  t.match(await makeKey(api), { id: /^key-/ });

  writeFileSync(pinFile, `${pin}\n`);
  process.kill(pid, 'SIGKILL');
  const gone = ({ fault }: Record<string, unknown>) => fault === 'CONFIG_INVALID';
  t.match(await node.line('worker gone; it is replaced', gone), { code: 10 });
  copyFileSync(rightKeyFile, privateKeyFile);
  await node.line('slot ready', undefined, 2);
  t.match(await makeKey(api), { id: /^key-/ });
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a configuration that is refused leaves the operations pages where they were', async (t) => {
  const [first, second] = [await freePort(), await freePort()];
  const file = await writeNodeConfiguration(t, { ...parts, slots: [slotA] }, { operations: { port: first } });
  const node = startNode(t, file);
  await node.line('slot ready');
  const answers = async (port: number, host = '127.0.0.1') => {
    const answer = await fetch(`http://${host}:${port}/livez`).catch(() => undefined);
    return answer?.ok === true;
  };
  const { database } = parse(readFileSync(file, 'utf8'));
  edit(file, { operations: { port: second }, database: { ...database, caFile: '/none' } });
  process.kill(node.pid, 'SIGHUP');
  const { problems } = await node.line('configuration not accepted; the old one stays in force');
  t.match(problems, [/database\.caFile \/none cannot be read/]);
  t.same([await answers(first), await answers(second)], [true, false]);

  edit(file, { database });
  process.kill(node.pid, 'SIGHUP');
  await node.line('configuration is in force');
  t.same([await answers(first), await answers(second)], [false, true]);

  // Another address of this host on the same port: the old one is in its way.
  edit(file, { operations: { host: '0.0.0.0', port: second } });
  process.kill(node.pid, 'SIGHUP');
  await node.line('configuration is in force', undefined, 2);
  t.ok(await answers(second, '127.0.0.2'));

  // 192.0.2.0/24 is nobody's: it cannot listen there, and goes on where it did.
  edit(file, { operations: { host: '192.0.2.1', port: second } });
  process.kill(node.pid, 'SIGHUP');
  await node.line('configuration not accepted; the old one stays in force', undefined, 2);
  t.ok(await answers(second, '127.0.0.2'));
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a node that is told to end while it moves to another database connection ends', async (t) => {
  const file = await writeNodeConfiguration(t, { ...parts, slots: [slotA] });
  const node = startNode(t, file);
  await node.line('slot ready');
  const beating = async () => {
    const { rows } = await pool.query("select from node where seen_at > clock_timestamp() - interval '1 second'");
    return rows.length > 0;
  };
  await until('it is one of the cluster', beating);
  // Its old connection cannot say good-bye meanwhile: that is when it is told to end.
  await pool.query('begin');
  await pool.query('select 1 from node for update');
  edit(file, { maintenance: { pollSeconds: 1 } });
  process.kill(node.pid, 'SIGHUP');
  await node.line('configuration read again');
  process.kill(node.pid, 'SIGTERM');
  await node.line('stopping');
  await node.line('worker ended');
  await pool.query('rollback');
  t.strictSame(await node.exited, { code: 0, signal: null });
  await until('nobody says that it lives', async () => !(await beating()));
});
