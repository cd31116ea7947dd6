import t from 'tap';
import type { ToPrimary } from '../src/shared/ipc.ts';
import { latencyBuckets } from '../src/shared/worker-report.ts';
import { createMetrics } from '../src/worker/metrics.ts';
import { startPulse } from '../src/worker/pulse.ts';
import { idleReport } from '../src/worker/report.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { keyOffer, makeKey, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { failure } from './support/software-hsm.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };

t.test('a report counts what was done, by kind and outcome', async (t) => {
  const worker = await startSlotWorker(t, parts);
  await until('leased once', () => worker.report().leasedOnce);
  const key = await makeKey(api);
  const offers = Array.from({ length: 3 }, () => signOffer(key.id));
  const refused = signOffer(key.id);
  worker.hsm.failures.set(refused.id, failure('healthy', 'HSM_REQUEST_REFUSED', false));
  for (const offer of [...offers, refused]) api.offer(offer);
  for (const offer of [...offers, refused]) await api.outcome(offer.id);
  await until('acknowledged', () => worker.report().held === 0);
  const { requests, events, inDriver, inHsm, database, breaker } = worker.report();
  t.match(requests, { 'GenerateKey made': 1, 'Sign signed': 3, 'Sign error HSM_REQUEST_REFUSED': 1 });
  t.match(events, { leases_taken: 5, journal_rows: 3, journal_conflicts: 0, keys_stored: 1, tag_failures: 0 });
  t.same({ database, breaker }, { database: 'answers', breaker: 'closed' });
  for (const histogram of [inDriver.Sign, inHsm.Sign]) {
    t.equal(histogram?.buckets.length, latencyBuckets.length + 1);
    t.equal(
      histogram?.buckets.reduce((sum, count) => sum + count, 0),
      4,
    );
    t.ok((histogram?.sumSeconds ?? 0) > 0);
  }
  api.redeliver(offers[0]?.id ?? '');
  await until('a conflict with the journal', () => worker.report().events.journal_conflicts === 1);
  await until('discarded', () => worker.report().events.signatures_discarded === 1);
  await worker.stop();
});

t.test('a key whose row was changed is an alarm once, and counted each time', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  worker.hsm.checkTags = async (keys) => keys.map(() => ({ ok: true, value: false }));
  const fresh = await startSlotWorker(t, { ...parts, node: 'node-2', hsm: worker.hsm });
  await worker.stop();
  for (let at = 0; at < 3; at += 1) {
    const offer = signOffer(key.id);
    api.offer(offer);
    t.match(await api.outcome(offer.id), { code: 'KEY_UNUSABLE' });
  }
  const alarms = fresh.log.filter((line) => String(line.msg).startsWith('stored key was changed'));
  t.match(alarms, [{ level: 'error', keyId: key.id }]);
  t.equal(fresh.report().events.tag_failures, 3);
  await fresh.stop();
});

t.test('what is given back is counted as such', async (t) => {
  const worker = await startSlotWorker(t, parts);
  await until('leased once', () => worker.report().leasedOnce);
  const gate = Promise.withResolvers<void>();
  worker.hsm.gate = gate.promise;
  // The first is in the HSM, which is closed; the others are later attempts and wait until they are alone.
  const offers = [keyOffer(), ...Array.from({ length: 3 }, () => ({ ...keyOffer(), attempt: 2 }))];
  for (const offer of offers) api.offer(offer);
  await until('held', () => offers.every(({ id }) => api.leaseCalls.at(-1)?.holding.includes(id)));
  const stopped = worker.stop();
  gate.resolve();
  await stopped;
  const { leases_taken: taken = 0, leases_given_back: back = 0 } = worker.report().events;
  const ended = Object.values(worker.report().requests).reduce((sum, count) => sum + count, 0);
  t.equal(taken, offers.length);
  t.equal(back, 3);
  t.equal(ended, taken, 'every request that was taken ended in one way');
});

t.test('latencies fall into the bucket that holds them', async (t) => {
  const { observe, snapshot } = createMetrics();
  observe('inHsm', 'Sign', 1, 2);
  observe('inHsm', 'Sign', 1.1);
  observe('inHsm', 'Sign', 60_000);
  const { buckets = [], sumSeconds = 0 } = snapshot.inHsm.Sign ?? {};
  t.same([buckets[0], buckets[1], buckets.at(-1)], [2, 1, 1]);
  t.ok(Math.abs(sumSeconds - 60.0031) < 1e-9);
});

t.test(
  'heartbeats tell the oldest call; reports go on; a primary that does not read is sent nothing more',
  async (t) => {
    const sent: ToPrimary[] = [];
    let blocked: Promise<void> = Promise.resolve();
    const pulse = startPulse({
      deliver: (message) => {
        sent.push(message);
        return blocked;
      },
    });
    t.teardown(() => pulse.stop());
    t.match(sent, [{ type: 'heartbeat', oldestCallMs: 0 }]);
    pulse.watch(() => 1_234.5);
    pulse.report(() => ({ ...idleReport, state: 'starting', api: 'reached', threads: { total: 2, busy: 0 } }));
    await until('a heartbeat', () => sent.some((one) => one.type === 'heartbeat' && one.oldestCallMs === 1_235));
    await until('reports', () => sent.filter((one) => one.type === 'report').length >= 2);
    const stuck = Promise.withResolvers<void>();
    blocked = stuck.promise;
    const before = sent.length;
    await until('both are on their way', () => sent.length >= before + 2);
    const beats = sent.filter((one) => one.type === 'heartbeat').length;
    pulse.report(() => t.fail('a second report is made while one is on its way') as never);
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(sent.filter((one) => one.type === 'heartbeat').length, beats);
    stuck.resolve();
  },
);
