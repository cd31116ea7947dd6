import pg from 'pg';
import t, { type Test } from 'tap';
import { chainFaults, readChain } from './support/audit-chain.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { keyOffer, makeKey, type SlotWorker, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { failure } from './support/software-hsm.ts';
import { openTcpProxy } from './support/tcp-proxy.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };

const said = (worker: SlotWorker, sentence: string): number =>
  worker.log.filter((line) => line.msg === sentence).length;

/** Several requests in one HSM batch: they are held back until all are delivered. */
async function batch(worker: SlotWorker, ids: readonly string[]): Promise<void> {
  await until('all held', () => ids.every((id) => api.leaseCalls.at(-1)?.holding.includes(id)));
  worker.hsm.gate = Promise.resolve();
}

t.test('a request that the HSM refuses fails alone, and the slot stays ready', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const [good, bad] = [signOffer(key.id), signOffer(key.id)];
  worker.hsm.failures.set(bad.id, failure('healthy', 'HSM_REQUEST_REFUSED', false));
  for (const offer of [good, bad]) api.offer(offer);
  t.match(await api.outcome(bad.id), { code: 'HSM_REQUEST_REFUSED', retryable: false });
  t.match(await api.outcome(good.id), { kind: 'Signatures' });
  t.equal(worker.hsm.probes, 0);
  t.equal(worker.state, 'ready');
  await worker.stop();
});

t.test('a suspect device is probed; sound: the failed items are told as retryable, and work goes on', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offers = [signOffer(key.id), signOffer(key.id), keyOffer()];
  for (const { id } of offers.slice(1)) worker.hsm.failures.set(id, failure('suspect', 'HSM_DEVICE_FAULT'));
  for (const offer of offers) api.offer(offer);
  const results = await Promise.all(offers.map((offer) => api.outcome(offer.id)));
  t.match(results, [
    { kind: 'Signatures' },
    { code: 'HSM_DEVICE_FAULT', retryable: true },
    { code: 'HSM_DEVICE_FAULT', retryable: true },
  ]);
  t.ok(worker.hsm.probes >= 1);
  await until('ready', () => worker.state === 'ready');
  t.equal(worker.fault, undefined);
  const after = signOffer(key.id);
  api.offer(after);
  t.match(await api.outcome(after.id), { kind: 'Signatures' });
  await worker.stop();
});

t.test('nothing enters the HSM and nothing is asked for while the device is suspect', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const bad = signOffer(key.id);
  worker.hsm.failures.set(bad.id, failure('suspect', 'HSM_DEVICE_FAULT'));
  const probing = Promise.withResolvers<{ ok: true; value: undefined }>();
  worker.hsm.probe = () => probing.promise;
  api.offer(bad);
  await until('suspect', () => worker.state === 'suspect');
  const other = signOffer(key.id);
  api.offer(other);
  const calls = api.leaseCalls.length;
  const call = await until('renewal', () => api.leaseCalls.length > calls && api.leaseCalls.at(-1));
  t.match(call, { max: 0, holding: [bad.id] });
  probing.resolve({ ok: true, value: undefined });
  t.match(await api.outcome(other.id), { kind: 'Signatures' });
  t.match(await api.outcome(bad.id), { code: 'HSM_DEVICE_FAULT' });
  await worker.stop();
});

for (const [name, device, probe] of [
  ['lost', 'lost', 'ok'],
  ['suspect and fails its probe', 'suspect', 'fails'],
] as const) {
  t.test(
    `a device that is ${name} ends the worker; what was signed is told, what failed may be tried elsewhere`,
    async (t) => {
      const worker = await startSlotWorker(t, parts);
      const key = await makeKey(api);
      const [good, bad] = [signOffer(key.id), signOffer(key.id)];
      worker.hsm.failures.set(bad.id, failure(device, 'HSM_DEVICE_FAULT'));
      if (probe === 'fails') worker.hsm.probeResult = failure('suspect', 'HSM_DEVICE_FAULT');
      const gate = Promise.withResolvers<void>();
      worker.hsm.gate = gate.promise;
      for (const offer of [good, bad]) api.offer(offer);
      await batch(worker, [good.id, bad.id]);
      gate.resolve();
      t.match(await api.outcome(bad.id), { code: 'HSM_DEVICE_FAULT', retryable: true });
      t.match(await api.outcome(good.id), { kind: 'Signatures' });
      t.match(await until('the end', () => worker.fault), { code: 'HSM_DEVICE_FAULT' });
      await worker.stop();
      t.match(api.leaseCalls.at(-1), { max: 0, holding: [] });
    },
  );
}

t.test('a PIN that is refused in the middle ends the worker as such, so that nobody tries it again', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  worker.hsm.failures.set(offer.id, failure('lost', 'PIN_REFUSED'));
  api.offer(offer);
  t.match(await api.outcome(offer.id), { code: 'HSM_DEVICE_FAULT', retryable: true });
  t.match(worker.fault, { code: 'PIN_REFUSED' });
  await worker.stop();
});

t.test('a session thread that dies is a lost device for its items', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  worker.hsm.sign = () => Promise.reject(new Error('thread ended'));
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { code: 'HSM_DEVICE_FAULT', retryable: true });
  t.match(worker.fault, { code: 'HSM_DEVICE_FAULT' });
  await worker.stop();
});

t.test(
  'database lost and back: polling stops, work is given back, nothing is released before its row is durable',
  async (t) => {
    const worker = await startSlotWorker(t, parts);
    const key = await makeKey(api);
    const [signed, waiting] = [signOffer(key.id), signOffer(key.id)];
    const gate = Promise.withResolvers<void>();
    worker.hsm.gate = gate.promise;
    api.offer(signed);
    await until('held', () => api.leaseCalls.at(-1)?.holding.includes(signed.id));
    await databases.stop();
    // Signed in the HSM, but the journal cannot be written.
    gate.resolve();
    await until('database lost', () => said(worker, 'database lost; polling stops until it answers') === 1);
    api.offer(waiting);
    const calls = api.leaseCalls.length;
    const call = await until('give-back', () => api.leaseCalls.length > calls + 1 && api.leaseCalls.at(-1));
    t.match(call, { max: 0, holding: [] });
    t.equal(api.outcomes.has(signed.id), false);
    await databases.restart();
    t.match(await api.outcome(signed.id), { kind: 'Signatures', publicKey: key.publicKey });
    t.match(await api.outcome(waiting.id), { kind: 'Signatures' });
    const { rows } = await worker.pool.query('select signatures from journal where request_id = $1', [signed.id]);
    const [told] = api.outcomes.get(signed.id) ?? [];
    t.equal(rows[0].signatures[0].toString('hex'), told?.kind === 'Signatures' && told.signatures[0]?.rs);
    t.equal(said(worker, 'database lost; polling stops until it answers'), 1);
    t.equal(said(worker, 'database answers again'), 1);
    await worker.stop();
  },
);

t.test('a commit whose answer got lost is found again, and its signature is the one that is told', async (t) => {
  const wire = await openTcpProxy(t, databases.driver.port);
  const worker = await startSlotWorker(t, { ...parts, database: { ...databases.driver, port: wire.port } });
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  const admin = await superuser(t);
  const unslow = () => admin.query('drop trigger if exists slowly on journal; drop function if exists slowly()');
  t.teardown(unslow);
  // Commits of journal rows take a moment, so that the wire can be cut in the middle of one.
  await admin.query(`
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(2); return null; end $$;
    create constraint trigger slowly after insert on journal deferrable initially deferred
      for each row execute function slowly()`);
  api.offer(offer);
  await until('the insert', async () => {
    const { rows } = await admin.query(
      "select 1 from pg_stat_activity where state = 'active' and query like 'with told as (insert%into journal%'",
    );
    return rows.length === 1;
  });
  wire.cut();
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  await unslow();
  const { rows } = await admin.query('select signatures from journal where request_id = $1', [offer.id]);
  const [told] = api.outcomes.get(offer.id) ?? [];
  t.equal(rows.length, 1);
  t.equal(rows[0].signatures[0].toString('hex'), told?.kind === 'Signatures' && told.signatures[0]?.rs);
  const discarded = await admin.query('select 1 from discarded_signature where request_id = $1', [offer.id]);
  t.equal(discarded.rows.length, 0, 'the row that conflicts is our own');
  const entries = await readChain(admin, worker.instance);
  t.strictSame(chainFaults(entries), [], 'the audit chain has no fork');
  t.equal(entries.filter(({ event }) => event.kind === 'signed').length, 1, 'and tells of it once');
  t.equal(said(worker, 'database lost; polling stops until it answers'), 1);
  await worker.stop();
});

t.test('API lost and back: one line each way, and nothing that was made is lost', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  const gate = Promise.withResolvers<void>();
  worker.hsm.gate = gate.promise;
  api.offer(offer);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(offer.id));
  await api.stop();
  gate.resolve();
  const lost = await until('lost', () => worker.log.find((line) => line.msg === 'signing API cannot be reached'));
  t.match(lost, { code: 'API_UNREACHABLE', cause: /ECONNREFUSED|closed|SOCKET|ECONNRESET/ });
  await until(
    'journaled',
    async () => (await worker.pool.query('select 1 from journal where request_id = $1', [offer.id])).rows.length,
  );
  await api.start();
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  await until('back', () => said(worker, 'signing API answers again') === 1);
  t.equal(said(worker, 'signing API cannot be reached'), 1);
  t.equal(worker.fault, undefined);
  await worker.stop();
});

t.test('an API that answers with errors and vanishes in turn is one line, and says which it was last', async (t) => {
  const worker = await startSlotWorker(t, { ...parts, addresses: ['https://127.0.0.1:9', api.address] });
  await makeKey(api);
  api.intercept = () => ({ status: 503, body: { error: { code: 'DATABASE_UNREACHABLE', message: 'it is away' } } });
  t.teardown(() => {
    api.intercept = undefined;
  });
  const line = await until('lost', () => worker.log.find((one) => one.msg === 'signing API answers with an error'));
  t.match(line, { code: 'API_UNREACHABLE', cause: /DATABASE_UNREACHABLE: it is away/ });
  await api.stop();
  await until('not there', () => /ECONNREFUSED/.test(worker.transport.trouble?.said ?? ''));
  t.equal(worker.transport.trouble?.kind, 'unreachable');
  t.equal(said(worker, 'signing API cannot be reached'), 0);
  api.intercept = undefined;
  await api.start();
  await until('back', () => said(worker, 'signing API answers again') === 1);
  t.equal(worker.transport.trouble, undefined);
  await worker.stop();
});

t.test('a second address takes over when the first does not answer', async (t) => {
  const worker = await startSlotWorker(t, { ...parts, addresses: ['https://127.0.0.1:9', api.address] });
  t.match(await makeKey(api), { id: /^key-/ });
  t.equal(said(worker, 'signing API cannot be reached'), 0);
  await worker.stop();
});

t.test(
  'a certificate that is not listed, or of another CA, is refused with a reason and works once it is mended',
  async (t) => {
    api.listed.delete('node-2');
    const worker = await startSlotWorker(t, { ...parts, node: 'node-2' });
    const line = await until('refused', () => worker.log.find((one) => one.msg === 'signing API refuses this driver'));
    t.match(line, { cause: /DRIVER_NOT_LISTED: node-2/ });
    t.equal(worker.fault, undefined);
    api.listed.add('node-2');
    await makeKey(api);
    t.equal(said(worker, 'signing API refuses this driver'), 1);
    await worker.stop();

    const stranger = await startSlotWorker(t, { ...parts, certificate: await certificates.strangerClient('node-1') });
    const refused = await until('refused', () =>
      stranger.log.find((one) => one.msg === 'signing API refuses this driver'),
    );
    t.match(refused, { cause: /CLIENT_CERTIFICATE_MISSING/ });
    await stranger.stop();
  },
);

t.test('a server that another CA signed is not told anything', async (t) => {
  const elsewhere = await openScriptedApi(t, await makeCertificates(t));
  const worker = await startSlotWorker(t, { ...parts, api: elsewhere });
  const line = await until('refused', () => worker.log.find((one) => one.msg === 'signing API cannot be reached'));
  t.match(line, { cause: /certificate/i });
  t.equal(elsewhere.leaseCalls.length, 0);
  await worker.stop();
});

t.test('a worker whose instance the API ended cannot go on', async (t) => {
  const worker = await startSlotWorker(t, parts);
  api.intercept = (path) =>
    path === '/driver/v1/lease'
      ? { status: 409, body: { error: { code: 'INSTANCE_ENDED', message: 'ended' } } }
      : undefined;
  t.match(await until('fault', () => worker.fault), { code: 'INSTANCE_ENDED' });
  api.intercept = undefined;
  await worker.stop();
});

async function superuser(t: Test): Promise<pg.Client> {
  const { host, port, superuser: user, superuserPassword: password } = databases.server;
  const client = new pg.Client({ host, port, user, password, database: databases.driver.name });
  await client.connect();
  t.teardown(() => client.end());
  return client;
}
