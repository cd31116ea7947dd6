import t from 'tap';
import { pausesAfterFailureMs } from '../src/worker/device-policy.ts';
import type { HsmResult } from '../src/worker/hsm/jobs.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, type SlotWorker, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { failure } from './support/software-hsm.ts';
import { until } from './support/until.ts';

/** What a worker does about its device, seen from the API and from its report. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };

const bad = failure('suspect', 'HSM_DEVICE_FAULT');
const good = { ok: true, value: undefined } as const;

/** The answers of the next probes; the one after them waits, as a native call would, for what the test resolves it with. */
function plan(worker: SlotWorker, ...answers: HsmResult<undefined>[]): PromiseWithResolvers<HsmResult<undefined>> {
  const last = Promise.withResolvers<HsmResult<undefined>>();
  worker.hsm.probe = async () => {
    worker.hsm.probes += 1;
    return answers.shift() ?? (await last.promise);
  };
  return last;
}

/** A request that fails in a device's way, which makes the worker probe. */
async function provoke(worker: SlotWorker, keyId: string): Promise<string> {
  const offer = signOffer(keyId);
  worker.hsm.failures.set(offer.id, bad);
  api.offer(offer);
  return offer.id;
}

t.test('a failed probe opens the breaker: work goes back at once, and comes again when a probe succeeds', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  t.equal(worker.report().breaker, 'closed');
  const gate = Promise.withResolvers<void>();
  worker.hsm.gate = gate.promise;
  const inside = await provoke(worker, key.id);
  await until('held', () => api.leaseCalls.at(-1)?.holding.includes(inside));
  // A probe that does not answer yet: what comes meanwhile waits outside.
  const first = plan(worker);
  gate.resolve();
  await until('suspect', () => worker.hsm.probes === 1 && worker.state === 'suspect');
  const asked = api.leaseCalls.length;
  const second = plan(worker);
  first.resolve(bad);
  t.match(await api.outcome(inside), { code: 'HSM_DEVICE_FAULT', retryable: true });
  await until('half-open', () => worker.report().breaker === 'half-open');
  const call = await until('everything given back', () =>
    api.leaseCalls.slice(asked).find((one) => one.max === 0 && one.holding.length === 0),
  );
  t.equal(call.waitMs, 0);
  const other = signOffer(key.id);
  api.offer(other);
  const calls = api.leaseCalls.length;
  await until('it still calls', () => api.leaseCalls.length > calls);
  t.ok(
    api.leaseCalls.slice(calls).every(({ max }) => max === 0),
    'and asks for nothing',
  );
  t.equal(worker.told.length, 1, 'siblings hear of it once');
  second.resolve(good);
  t.match(await api.outcome(other.id), { kind: 'Signatures' });
  t.equal(worker.report().breaker, 'closed');
  t.equal(worker.state, 'ready');
  t.equal(worker.fault, undefined);
  t.match(worker.report().events, { breaker_opened: 1, probes_failed: 1 });
  await worker.stop();
});

t.test('no request is in the HSM while the breaker is open: only probes are', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const third = plan(worker, bad, bad);
  await api.outcome(await provoke(worker, key.id));
  worker.hsm.jobs.length = 0;
  const offers = Array.from({ length: 5 }, () => signOffer(key.id));
  for (const offer of offers) api.offer(offer);
  await until('half-open probes', () => worker.hsm.probes >= 3);
  t.equal(worker.hsm.jobs.length, 0);
  third.resolve(good);
  for (const offer of offers) t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  await worker.stop();
});

t.test('a device that fails every probe ends the process after a few, and siblings heard of it', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  worker.hsm.probeResult = bad;
  await api.outcome(await provoke(worker, key.id));
  t.equal(worker.fault, undefined, 'not at the first');
  t.match(await until('the end', () => worker.fault), { code: 'HSM_DEVICE_FAULT' });
  t.equal(worker.hsm.probes, pausesAfterFailureMs.length + 1);
  t.match(worker.told, [{ code: 'HSM_DEVICE_FAULT' }]);
  await worker.stop();
  const probes = worker.hsm.probes;
  await until('the API noticed', () => api.leaseCalls.at(-1)?.holding.length === 0);
  t.equal(worker.hsm.probes, probes);
});

t.test('a device that is lost tells its siblings before it ends; a refused PIN is none of their device', async (t) => {
  for (const [code, told] of [
    ['HSM_DEVICE_FAULT', 1],
    ['PIN_REFUSED', 0],
  ] as const) {
    const worker = await startSlotWorker(t, parts);
    const key = await makeKey(api);
    const offer = signOffer(key.id);
    worker.hsm.failures.set(offer.id, failure('lost', code));
    api.offer(offer);
    t.match(await until('the end', () => worker.fault), { code });
    t.equal(worker.told.length, told);
    t.equal(worker.report().breaker, 'open');
    await worker.stop();
  }
});

t.test('a sibling’s fault makes this worker probe before its next call', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const probing = Promise.withResolvers<typeof good>();
  let probes = 0;
  worker.hsm.probe = () => {
    probes += 1;
    return probing.promise;
  };
  worker.deviceSuspect();
  worker.deviceSuspect();
  t.equal(worker.state, 'suspect');
  worker.hsm.jobs.length = 0;
  const offer = signOffer(key.id);
  api.offer(offer);
  const calls = api.leaseCalls.length;
  await until('renewal', () => api.leaseCalls.length > calls && api.leaseCalls.at(-1)?.max === 0);
  t.equal(worker.hsm.jobs.length, 0);
  probing.resolve(good);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.equal(probes, 1);
  t.same(worker.told, [], 'its own device answered: there is nothing to tell');
  await worker.stop();
});

t.test('no room in the HSM is no fault: the request goes back, nothing is probed, and it succeeds later', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offers = Array.from({ length: 4 }, () => signOffer(key.id));
  for (const { id } of offers) worker.hsm.failures.set(id, failure('healthy', 'HSM_BACK_PRESSURE'));
  for (const offer of offers) api.offer(offer);
  await until('given back', () => (worker.report().events.leases_given_back ?? 0) >= 4);
  t.equal(worker.state, 'ready');
  worker.hsm.failures.clear();
  for (const offer of offers) {
    t.match(await api.outcome(offer.id), { kind: 'Signatures' });
    t.equal(api.outcomes.get(offer.id)?.length, 1, 'no error was told');
  }
  t.equal(worker.hsm.probes, 0);
  t.equal(worker.fault, undefined);
  await worker.stop();
});

t.test(
  'an idle slot calls on every session, and a session that fails is looked into before a request does',
  async (t) => {
    const worker = await startSlotWorker(t, { ...parts, threads: 3, keepAliveMs: 100 });
    const checked: number[] = [];
    const { checkTags } = worker.hsm;
    let answer: typeof bad | undefined;
    worker.hsm.checkTags = async (keys) => {
      checked.push(keys.length);
      return answer === undefined ? await checkTags(keys) : keys.map(() => answer as typeof bad);
    };
    await until('keep-alives', () => checked.length >= 2);
    t.ok(checked.every((items) => items === 3));
    t.equal(worker.report().events.tag_failures, 0, 'it is no tag of a key');
    worker.hsm.probeResult = bad;
    answer = bad;
    await until('breaker open', () => worker.report().breaker === 'open');
    answer = undefined;
    worker.hsm.probeResult = good;
    await until('ready', () => worker.state === 'ready');
    await worker.stop();
  },
);

t.test('a storm of failing requests is a handful of log lines', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offers = Array.from({ length: 300 }, () => signOffer(key.id));
  for (const { id } of offers) worker.hsm.failures.set(id, bad);
  for (const offer of offers) api.offer(offer);
  for (const offer of offers) t.match(await api.outcome(offer.id), { kind: 'Error' });
  const shown = worker.log.filter((line) => line.level !== 'debug');
  t.ok(shown.length < 20, `${shown.length} lines`);
  t.equal(worker.report().requests['Sign error HSM_DEVICE_FAULT'], 300, 'all are counted');
  await worker.stop();
});
