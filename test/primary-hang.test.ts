import t from 'tap';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { isAlive, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { buildFaultModule, openFaultControl } from './support/fault-module/fault-module.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer } from './support/slot-worker.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const parts = { api, certificates, database: databases.driver, store };
const [slotA, slotB] = store.slots;
const ofA = (line: Record<string, unknown>) => line.slot === 'a';
const ofB = (line: Record<string, unknown>) => line.slot === 'b';

t.test('a worker that is stopped is killed, released and replaced; the other slot goes on', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots: store.slots }));
  const [a, b] = [await node.line('slot ready', ofA), await node.line('slot ready', ofB)];
  const key = await makeKey(api);
  process.kill(a.pid, 'SIGSTOP');
  const stopped = performance.now();
  await until('killed', () => !isAlive(a.pid));
  const killed = performance.now();
  t.match(await node.line('worker gone; it is replaced', ofA), { meaning: /no heartbeats/, restartInMs: 0 });
  const again = await node.line('slot ready', ofA, 2);
  t.comment(
    `killed after ${Math.round(killed - stopped)} ms, ready again ${Math.round(performance.now() - killed)} ms later`,
  );
  t.not(again.pid, a.pid);
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.ok(isAlive(b.pid), 'nobody touched the other worker');
  t.equal(node.count('slot ready', ofB), 1);
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a C_Sign that never returns costs its worker, not the request and not the other slot', async (t) => {
  const control = openFaultControl(temporaryDirectory(t));
  const broken = {
    ...slotA,
    module: await buildFaultModule(),
    environment: { ...slotA.environment, ...control.environment },
    callDeadlineMs: 1_000,
  };
  const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots: [broken, slotB] }));
  const [a, b] = [await node.line('slot ready', ofA), await node.line('slot ready', ofB)];
  const key = await makeKey(api);
  control.set([{ action: 'hang', on: ['C_Sign'] }]);
  const offers = Array.from({ length: 8 }, () => signOffer(key.id));
  const began = performance.now();
  for (const offer of offers) api.offer(offer);
  await until('killed', () => !isAlive(a.pid));
  control.clear();
  for (const offer of offers) t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.comment(`the last was signed ${Math.round(performance.now() - began)} ms after it was offered`);
  t.match(await node.line('worker gone; it is replaced', ofA), { meaning: /callDeadlineMs/ });
  await node.line('slot ready', ofA, 2);
  t.ok(isAlive(b.pid));
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a primary that was stopped for a while blames no worker', async (t) => {
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  const { pid } = await node.line('slot ready');
  const calls = (): number => api.leaseCalls.length;
  process.kill(node.pid, 'SIGSTOP');
  // Longer than its patience with a silent worker.
  const before = calls();
  const since = performance.now();
  await until('three seconds', () => performance.now() - since > 3_000);
  t.ok(calls() >= before);
  process.kill(node.pid, 'SIGCONT');
  const key = await makeKey(api);
  t.ok(key.id);
  t.ok(isAlive(pid));
  t.equal(node.count('worker gone; it is replaced'), 0);
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});
