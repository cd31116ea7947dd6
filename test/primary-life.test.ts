import { readFileSync } from 'node:fs';
import t from 'tap';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { isAlive, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { startTimer } from './support/in-time.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer } from './support/slot-worker.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const parts = { api, certificates, database: databases.driver, store };

t.test('a node with two slots makes keys and signs; Ctrl-C ends all of it in time and leaves nothing', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots: store.slots }));
  t.match(await node.line('driver started'), {
    node: 'node-1',
    keyStore: 'store',
    slots: ['a', 'b'],
    version: /^\d+\./,
  });
  const ready = [
    await node.line('slot ready', (line) => line.slot === 'a'),
    await node.line('slot ready', (line) => line.slot === 'b'),
  ];
  t.match(ready[0], {
    token: 'token a',
    serial: /./,
    masterKey: store.ceremony.masterKey.id,
    capabilities: ['GenerateKey:ECDSA/secp256k1'],
  });
  const key = await makeKey(api);
  const offers = Array.from({ length: 50 }, () => signOffer(key.id));
  for (const offer of offers) api.offer(offer);
  for (const offer of offers) t.match(await api.outcome(offer.id), { kind: 'Signatures', publicKey: key.publicKey });

  const taken = startTimer(t);
  node.signalGroup('SIGINT');
  t.strictSame(await node.exited, { code: 0, signal: null });
  taken('stopped', 5_000);
  t.ok(node.count('stopped') === 1);
  for (const { pid } of ready) t.notOk(isAlive(pid), 'no worker is left');
  t.equal(api.released.length, 2, 'both instances are released');
  t.equal(node.count('worker gone; it is replaced'), 0);
});

const needsProc = { skip: process.platform === 'linux' ? false : 'reads /proc' };
t.test('a worker knows neither the environment of its primary nor an inspector', needsProc, async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  const { pid } = await node.line('slot ready');
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
  t.notMatch(environment, /NOT_FOR_WORKERS|NODE_OPTIONS/);
  t.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /--disable-sigusr1/);
  const mapped = readFileSync(`/proc/${node.pid}/maps`, 'utf8');
  t.notMatch(mapped, /pkcs11|softhsm/, 'the primary loads no PKCS#11 library');
  t.match(readFileSync(`/proc/${pid}/maps`, 'utf8'), /softhsm/);
  node.signalGroup('SIGTERM');
  await node.exited;
});

t.test('a worker that is killed while it holds work is replaced, and its work goes on', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  const first = await node.line('slot ready');
  const key = await makeKey(api);
  const instance = api.leaseCalls.at(-1)?.instance;
  // It holds the request: its outcome cannot be told.
  api.intercept = (path) => (path === '/driver/v1/outcomes' ? 'drop' : undefined);
  const offer = signOffer(key.id);
  api.offer(offer);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(offer.id));
  const taken = startTimer(t);
  process.kill(first.pid, 'SIGKILL');
  await until('released', () => instance !== undefined && api.released.includes(instance));
  api.intercept = undefined;
  await until('a new instance polls', () => api.leaseCalls.at(-1)?.instance !== instance);
  taken('from the kill to the first call of the new instance', 5_000);
  t.match(await api.outcome(offer.id), { kind: 'Signatures', publicKey: key.publicKey });
  t.match(await node.line('worker gone; it is replaced'), { slot: 'a', signal: 'SIGKILL', restartInMs: 0 });
  t.match(await node.line('instance released'), { instance });
  t.not((await node.line('slot ready', undefined, 2)).pid, first.pid);
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a worker that does not answer is killed: the node still ends in time', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  const { pid } = await node.line('slot ready');
  process.kill(pid, 'SIGSTOP');
  const taken = startTimer(t);
  process.kill(node.pid, 'SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
  taken('stopped with a worker that does not answer', 5_000);
  t.match(await node.line('worker ended'), { how: 'killed', signal: 'SIGKILL' });
  t.notOk(isAlive(pid));
});

t.test('a second signal means now', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  const { pid } = await node.line('slot ready');
  process.kill(pid, 'SIGSTOP');
  process.kill(node.pid, 'SIGINT');
  await node.line('stopping');
  const taken = startTimer(t);
  process.kill(node.pid, 'SIGINT');
  await node.exited;
  taken('stopped at once', 2_000);
  t.notOk(isAlive(pid));
});

t.test('a worker whose primary is gone tells what is journaled and ends', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  const { pid } = await node.line('slot ready');
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  api.offer(offer);
  process.kill(node.pid, 'SIGKILL');
  const taken = startTimer(t);
  await until('the worker is gone', () => !isAlive(pid));
  taken('the worker ended', 3_000);
});
