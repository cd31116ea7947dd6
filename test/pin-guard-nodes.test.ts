import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { clearPin } from '../src/cli/node/clear-pin.ts';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import { loadConfiguration } from '../src/shared/configuration/load.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { type DriverNode, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { buildFaultModule, type FaultControl, openFaultControl } from './support/fault-module/fault-module.ts';
import { startTimer } from './support/in-time.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey } from './support/slot-worker.ts';
import { createKeyStore, pin, type SoftKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Two nodes whose workers reach one token, as two nodes of a network HSM do; its logins are counted below them. */
t.setTimeout(300_000);
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const module = await buildFaultModule();

interface Cluster {
  readonly store: SoftKeyStore;
  readonly pinFile: string;
  readonly faults: FaultControl;
  readonly configurations: readonly [string, string];
}

async function prepare(t: Test, givenPin: string, slots: readonly string[] = ['a']): Promise<Cluster> {
  const store = await createKeyStore(t);
  const [slot] = store.slots;
  const faults = openFaultControl(join(store.directory, 'faults'), slot.module);
  const pinFile = join(store.directory, 'pin');
  writeFileSync(pinFile, givenPin, { mode: 0o600 });
  const environment = { ...slot.environment, ...faults.environment };
  // Key stores of one shape are copies, serial numbers included: a group of its own, and nothing is known of its PIN.
  const faulty = { ...slot, module, pinFile, environment, pinGuardGroup: randomUUID(), keepAliveMs: 100 };
  const all = slots.map((name) => ({ ...faulty, name }));
  const configure = (node: string): Promise<string> =>
    writeNodeConfiguration(t, { api, certificates, database: databases.driver, store, slots: all, node });
  return { store, pinFile, faults, configurations: [await configure('node-1'), await configure('node-2')] };
}

const latched = (node: DriverNode) => node.line('worker ends', (line) => line.code === 'PIN_REFUSED');

t.test('a wrong PIN costs the token one try, however many nodes and workers start with it', async (t) => {
  const { faults, configurations, pinFile } = await prepare(t, 'not the PIN');
  const nodes = configurations.map((file) => startNode(t, file));
  for (const node of nodes) await latched(node);
  t.equal(faults.stats().calls.C_Login, 1);
  for (const node of nodes) {
    t.notMatch(JSON.stringify(node.log), /not the PIN/);
    t.equal(node.count('driver started'), 1, 'the node stays');
  }

  // A new node, and one that is started again, do not try it either.
  const [first] = nodes;
  first?.signalGroup('SIGTERM');
  t.match(await first?.exited, { code: exitCodes.OK.code });
  const again = startNode(t, configurations[0]);
  t.match(await latched(again), { cause: /node node-[12], slot a/ });
  t.equal(faults.stats().calls.C_Login, 1);

  // The right PIN in the file is enough: both nodes notice by themselves, and one proves it for both.
  writeFileSync(pinFile, pin, { mode: 0o600 });
  for (const node of [again, nodes[1]]) await node?.line('slot ready');
  const { processes, loginsRefused } = faults.stats();
  t.equal(loginsRefused, 1);
  t.ok(processes.length >= 4);
  t.match(await makeKey(api), { id: /^key-/ });
  for (const node of [again, nodes[1]]) {
    node?.signalGroup('SIGTERM');
    await node?.exited;
  }
});

t.test('a right PIN that the token refused for a while is tried again only when an operator says so', async (t) => {
  const { faults, configurations, pinFile } = await prepare(t, pin);
  const [file, otherFile] = configurations;
  // On another host: nobody touches its file.
  writeFileSync(`${pinFile}-there`, pin, { mode: 0o600 });
  writeFileSync(otherFile, readFileSync(otherFile, 'utf8').replaceAll(pinFile, `${pinFile}-there`));
  faults.set([{ action: 'wrong-pin' }]);
  const node = startNode(t, file);
  await latched(node);
  const other = startNode(t, otherFile);
  await latched(other);
  faults.clear();
  const said: string[] = [];
  const configuration = loadConfiguration(file, driverConfiguration);
  const clear = (yes: boolean) =>
    clearPin(configuration, { slotName: 'a', yes, orderFile: undefined }, (line) => void said.push(line));
  await clear(false);
  t.match(said.at(-2), /token “token a” \(.*\): refused by node node-1, slot a/);
  t.match(said.at(-1), /add --yes/);
  t.equal(node.count('slot ready'), 0);
  await clear(true);
  await node.line('slot ready');
  await other.line('slot ready');
  await other.line('an operator cleared the PIN; the slot is tried again');
  t.equal(faults.stats().loginsRefused, 1);
  for (const one of [node, other]) {
    one.signalGroup('SIGTERM');
    await one.exited;
  }
});

t.test('a node that is stopped in the middle of a PIN’s first login keeps what came of it', async (t) => {
  const { faults, configurations } = await prepare(t, pin);
  faults.set([{ action: 'latency', on: ['C_Login'], ms: 500 }]);
  const node = startNode(t, configurations[0]);
  await until('the login is under way', () => faults.stats().calls.C_Login === 1);
  const taken = startTimer(t);
  node.signalGroup('SIGTERM');
  t.match(await node.exited, { code: exitCodes.OK.code });
  taken('stopped in the middle of a login', 5_000);
  t.equal(node.count('not released'), 0);
  faults.clear();
  const again = startNode(t, configurations[1]);
  await again.line('slot ready');
  t.equal(again.count('another process proves a PIN; waiting for it'), 0);
  again.signalGroup('SIGTERM');
  await again.exited;
});

t.test('a token that would lock at the next wrong PIN is not tried, and the log says what to do', async (t) => {
  const { faults, configurations } = await prepare(t, pin);
  faults.set([{ action: 'wrong-pin', pin: 'final' }]);
  const node = startNode(t, configurations[0]);
  const line = await node.line('worker ends', ({ code }) => code === 'PIN_NOT_TRIED');
  t.match(line, { cause: /would lock at the next wrong PIN/ });
  t.equal(faults.stats().calls.C_Login, 0);
  node.signalGroup('SIGTERM');
  await node.exited;
});

t.test('workers that lose their logins at once spend one try on a PIN that is no longer right', async (t) => {
  const { faults, configurations } = await prepare(t, pin, ['a', 'b', 'c']);
  const node = startNode(t, configurations[0]);
  for (const slot of ['a', 'b', 'c']) await node.line('slot ready', (line) => line.slot === slot);
  faults.set([
    { action: 'latency', on: ['C_Login'], ms: 400 },
    { action: 'wrong-pin' },
    { action: 'forget', what: 'login' },
  ]);
  for (const slot of ['a', 'b', 'c']) {
    await node.line('worker ends', (line) => line.slot === slot && line.code === 'PIN_REFUSED');
  }
  t.equal(faults.stats().loginsRefused, 1);
  node.signalGroup('SIGTERM');
  await node.exited;
});

t.test('workers that lose their logins at once have them back, one after another', async (t) => {
  const { faults, configurations } = await prepare(t, pin, ['a', 'b', 'c']);
  const node = startNode(t, configurations[0]);
  const ready = await Promise.all(['a', 'b', 'c'].map((slot) => node.line('slot ready', (line) => line.slot === slot)));
  const logins = () => new Map(faults.stats().processes.map(({ pid, calls }) => [pid, calls.C_Login] as const));
  const before = logins();
  faults.set([{ action: 'forget', what: 'login' }]);
  await until('all have logged in again', () => {
    const now = logins();
    return ready.every(({ pid }) => Number(now.get(pid)) > Number(before.get(pid)));
  });
  t.match(await makeKey(api), { id: /^key-/ });
  t.equal(node.count('worker ends'), 0);
  node.signalGroup('SIGTERM');
  await node.exited;
});

t.test('workers whose login is lost do not try again a PIN that one of their node was refused', async (t) => {
  const { faults, configurations } = await prepare(t, pin, ['a', 'b']);
  const node = startNode(t, configurations[0]);
  const ready = (slot: string) => node.line('slot ready', (line) => line.slot === slot);
  const latches = (slot: string) =>
    node.line('worker ends', (line) => line.slot === slot && line.code === 'PIN_REFUSED');
  const [a, b] = [await ready('a'), await ready('b')];
  // The PIN was changed on the token: whoever has to log in again has the old one.
  faults.set([{ action: 'wrong-pin' }, { action: 'forget', what: 'login', pid: a.pid }]);
  await latches('a');
  faults.set([{ action: 'wrong-pin' }, { action: 'forget', what: 'login', pid: b.pid }]);
  await latches('b');
  t.equal(faults.stats().loginsRefused, 1);
  node.signalGroup('SIGTERM');
  await node.exited;
});
