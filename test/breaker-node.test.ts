import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { type DriverNode, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { buildFaultModule, type FaultControl, openFaultControl } from './support/fault-module/fault-module.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer } from './support/slot-worker.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A real node on a real token that is made to fail: what the breaker, the session threads and the primary make of it. */
t.setTimeout(400_000);
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const module = await buildFaultModule();

async function start(
  t: Test,
  slotKeys: Record<string, unknown> = {},
): Promise<{ node: DriverNode; faults: FaultControl }> {
  const store = await createKeyStore(t);
  const [slot] = store.slots;
  const faults = openFaultControl(join(store.directory, 'faults'), slot.module);
  const faulty = { ...slot, ...slotKeys, module, environment: { ...slot.environment, ...faults.environment } };
  const parts = { api, certificates, database: databases.driver, store, slots: [faulty] };
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  await node.line('slot ready');
  t.teardown(async () => {
    faults.clear();
    node.signalGroup('SIGTERM');
    await node.exited;
  });
  return { node, faults };
}

const opened = 'HSM failed the probe; breaker open, no work is taken';

t.test('a device error that passes opens the breaker for a moment; the process stays', async (t) => {
  const { node, faults } = await start(t);
  const key = await makeKey(api);
  // The request and its check with the start-up blob, then the first probe; the second one finds the device well.
  faults.set([
    { action: 'error', on: ['C_UnwrapKey'], code: 0x30, count: 2 },
    { action: 'error', on: ['C_GenerateKeyPair'], code: 0x30, count: 1 },
  ]);
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { code: 'HSM_DEVICE_FAULT', retryable: true });
  await node.line(opened);
  await node.line('HSM answered the probe; breaker closed');
  const after = signOffer(key.id);
  api.offer(after);
  t.match(await api.outcome(after.id), { kind: 'Signatures' });
  t.equal(node.count('slot ready'), 1);
});

t.test(
  'a device error that stays ends the process; while it lasts nothing storms, and it recovers by itself',
  async (t) => {
    const { node, faults } = await start(t);
    const key = await makeKey(api);
    faults.set([{ action: 'error', on: ['C_UnwrapKey', 'C_GenerateKeyPair'], code: 0x30 }]);
    const logins = faults.stats().calls.C_Login;
    const offer = signOffer(key.id);
    api.offer(offer);
    t.match(await api.outcome(offer.id), { code: 'HSM_DEVICE_FAULT', retryable: true });
    await node.line('worker ends', (line) => line.code === 'HSM_DEVICE_FAULT', 3);
    const lines = node.log.length;
    t.ok(lines < 150, `${lines} log lines`);
    t.ok(faults.stats().calls.C_Login - logins <= 2 * 4, 'two sessions a process, one login each');
    faults.clear();
    await node.line('slot ready', () => true, 2);
    const after = signOffer(key.id);
    api.offer(after);
    t.match(await api.outcome(after.id), { kind: 'Signatures' });
  },
);

t.test('sessions that are closed under the driver are replaced without a failed request', async (t) => {
  const { node, faults } = await start(t);
  const key = await makeKey(api);
  for (const what of ['sessions', 'login'] as const) {
    faults.set([{ action: 'forget', what }]);
    const offers = Array.from({ length: 6 }, () => signOffer(key.id));
    for (const offer of offers) api.offer(offer);
    for (const offer of offers) t.match(await api.outcome(offer.id), { kind: 'Signatures' }, what);
  }
  t.equal(node.count('slot ready'), 1);
  t.equal(node.count(opened), 0);
});

t.test('an idle session that died is replaced by the keep-alive, before a request needs it', async (t) => {
  const { faults } = await start(t, { keepAliveMs: 300 });
  const key = await makeKey(api);
  const before = faults.stats().calls.C_OpenSession;
  faults.set([{ action: 'forget', what: 'sessions' }]);
  await until('both sessions replaced', () => faults.stats().calls.C_OpenSession >= before + 2);
  faults.set([{ action: 'error', on: ['C_OpenSession'], code: 0x30 }]);
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' }, 'it needs no new session');
});

t.test('a token that is pulled out ends the process at once, and work goes on when it is back', async (t) => {
  const { node, faults } = await start(t);
  const key = await makeKey(api);
  faults.set([{ action: 'vanish', what: 'token' }]);
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { code: 'HSM_DEVICE_FAULT', retryable: true });
  await node.line('worker ends');
  faults.clear();
  await node.line('slot ready', () => true, 2);
  const after = signOffer(key.id);
  api.offer(after);
  t.match(await api.outcome(after.id), { kind: 'Signatures' });
});
