import t from 'tap';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };
const worker = await startSlotWorker(t, parts);
const key = await makeKey(api);
const idle = () => until('an idle call', () => api.leaseCalls.at(-1)?.holding.length === 0 && api.leaseCalls.at(-1));

function closeHsm(): PromiseWithResolvers<void> {
  const gate = Promise.withResolvers<void>();
  worker.hsm.gate = gate.promise;
  return gate;
}

t.test('with nothing to do a call waits long; with something held it comes back to renew', async (t) => {
  t.match(await idle(), { waitMs: 5_000, holding: [] });
  const gate = closeHsm();
  const offer = signOffer(key.id);
  api.offer(offer);
  const call = await until('renewal', () => api.leaseCalls.at(-1)?.holding.includes(offer.id) && api.leaseCalls.at(-1));
  t.ok(call.waitMs <= 1_000 && call.max > 0);
  gate.resolve();
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
});

t.test('a lease answer that is lost costs nothing', async (t) => {
  await idle();
  const offer = signOffer(key.id);
  api.intercept = (path) => {
    if (path !== '/driver/v1/lease') return undefined;
    api.intercept = undefined;
    return 'lose';
  };
  // The call that is waiting now was let through; the next one carries the request and is lost.
  const first = signOffer(key.id);
  api.offer(first);
  await until('the intercepted call', () => api.intercept === undefined);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.match(await api.outcome(first.id), { kind: 'Signatures' });
  t.equal(worker.fault, undefined);
});

t.test('outcomes whose answer is lost are told again, once accepted', async (t) => {
  let lost = 0;
  api.intercept = (path) => (path === '/driver/v1/outcomes' && lost++ < 2 ? 'lose' : undefined);
  const offer = signOffer(key.id);
  api.offer(offer);
  await until('a third report', () => lost === 3);
  api.intercept = undefined;
  t.equal(api.outcomes.get(offer.id)?.length, 1);
  await idle();
});

t.test('what is not acknowledged stays held', async (t) => {
  api.intercept = (path) => (path === '/driver/v1/outcomes' ? 'drop' : undefined);
  const offer = signOffer(key.id);
  api.offer(offer);
  await until(
    'journaled',
    async () => (await worker.pool.query('select 1 from journal where request_id = $1', [offer.id])).rows.length,
  );
  const calls = api.leaseCalls.length;
  await until('two more calls', () => api.leaseCalls.length >= calls + 2);
  t.ok(api.leaseCalls.slice(-2).every((call) => call.holding.includes(offer.id)));
  api.intercept = undefined;
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  await idle();
});

t.test('a request delivered again while in work is one piece of work under its newest lease', async (t) => {
  const gate = closeHsm();
  const offer = signOffer(key.id);
  api.offer(offer);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(offer.id));
  worker.hsm.jobs.length = 0;
  const leases: string[] = [];
  api.acknowledge = (outcome) => {
    if (outcome.id === offer.id) leases.push(outcome.lease);
    return undefined;
  };
  api.redeliver(offer.id);
  const again = await until('merged', () => worker.log.find((line) => line.msg === 'delivered again while in work'));
  t.equal(again.requestId, offer.id);
  gate.resolve();
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.equal(worker.hsm.jobs.filter((job) => job.requests.some((one) => one.requestId === offer.id)).length, 1);
  t.equal(leases.length, 1);
  api.acknowledge = undefined;
  await idle();
});

t.test('a later attempt is worked alone: after all that is held, and nothing is taken beside it', async (t) => {
  const gate = closeHsm();
  const before = signOffer(key.id);
  api.offer(before);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(before.id));
  worker.hsm.jobs.length = 0;
  const poison = signOffer(key.id, { attempt: 2 });
  api.offer(poison);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(poison.id));
  const beside = signOffer(key.id);
  api.offer(beside);
  const calls = api.leaseCalls.length;
  const call = await until('renewal', () => api.leaseCalls.length > calls && api.leaseCalls.at(-1));
  t.equal(call.max, 0);
  gate.resolve();
  await Promise.all([before, poison, beside].map((offer) => api.outcome(offer.id)));
  t.strictSame(
    worker.hsm.jobs.map((job) => job.requests.map((one) => one.requestId)),
    [[before.id], [poison.id], [beside.id]],
  );
  await idle();
});

t.test(
  'second attempts that came together are worked together, later ones one by one, and nothing beside them',
  async (t) => {
    const gate = closeHsm();
    const before = signOffer(key.id);
    api.offer(before);
    await until('held', () => api.leaseCalls.at(-1)?.holding.includes(before.id));
    worker.hsm.jobs.length = 0;
    const second = Array.from({ length: 3 }, () => signOffer(key.id, { attempt: 2 }));
    const third = Array.from({ length: 2 }, () => signOffer(key.id, { attempt: 3 }));
    for (const offer of [...second, ...third]) api.offer(offer);
    const all = [...second, ...third].map(({ id }) => id);
    await until('held', () => all.every((id) => api.leaseCalls.at(-1)?.holding.includes(id)));
    gate.resolve();
    await Promise.all([before.id, ...all].map((id) => api.outcome(id)));
    const jobs = worker.hsm.jobs.map((job) => job.requests.map((one) => one.requestId));
    t.same(jobs[0], [before.id]);
    for (const { id } of third) t.ok(jobs.some((job) => job.length === 1 && job[0] === id));
    t.ok(jobs.every((job) => job.length === 1 || job.every((id) => second.some((one) => one.id === id))));
    t.same(jobs.flat().toSorted(), [before.id, ...all].toSorted());
    await idle();
  },
);

t.test('no more is asked for than can be finished soon, and never more than the protocol allows', async (t) => {
  const gate = closeHsm();
  const offers = Array.from({ length: 600 }, () => signOffer(key.id));
  for (const offer of offers) api.offer(offer);
  const call = await until('no room', () => api.leaseCalls.at(-1)?.max === 0 && api.leaseCalls.at(-1));
  t.ok(call.holding.length >= 16, 'at least one a session thread');
  gate.resolve();
  await Promise.all(offers.map((offer) => api.outcome(offer.id)));
  t.ok(api.leaseCalls.every((one) => one.max <= 256));
  await idle();
});

t.test('at the end what is in the HSM is finished and told, and the rest is given back', async (t) => {
  const gate = closeHsm();
  const offer = signOffer(key.id);
  api.offer(offer);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(offer.id));
  const stopped = worker.stop();
  gate.resolve();
  t.equal(await stopped, true, 'everything ended in its time');
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.match(api.leaseCalls.at(-1), { max: 0, holding: [] });
});
