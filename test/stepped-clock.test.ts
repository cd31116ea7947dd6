import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { protocolLimits } from '../src/shared/driver-protocol.ts';
import { readClock } from '../src/shared/orders/clock.ts';
import { makeCaller } from './support/caller.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { makeOperators } from './support/operators.ts';
import { pin } from './support/pinned.ts';
import { type Offer, openScriptedApi } from './support/scripted-api.ts';
import { keyStore, startSlotWorker } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * The clock of a node that enforces steps (a virtual machine is resumed, NTP sets it): no request fails for that. What
 * the node was given goes back to the queue, and a node whose clock is right signs it.
 */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const operators = makeOperators(temporaryDirectory(t), ['alice'], 1);
const common = { api, certificates, database: databases.driver };
const policy = {
  operators: operators.configuration,
  authorisation: { mode: 'enforce', maxAgeMs: 900_000 },
} as const;

let steppedMs = 0;
const worker = await startSlotWorker(t, {
  ...common,
  policy,
  readClock: () => {
    const { nowMs, offsetMs } = readClock();
    return { nowMs: nowMs + steppedMs, offsetMs: offsetMs + steppedMs };
  },
});
const caller = makeCaller();
await pin(worker.pool, operators, keyStore, { version: 1, credentials: [caller.listed] });
await until('the list is in force', () => worker.report().policy?.credentialList?.version === 1);

const keyRequest = caller.newKey();
api.offer(keyRequest);
const made = await api.outcome(keyRequest.id);
if (made.kind !== 'PublicKey') throw new Error(JSON.stringify(made));
const key = { id: keyRequest.id, publicKey: made.publicKey };
const sign = () => caller.sign(key, { kind: 'Hash', hash: randomBytes(32).toString('hex') });
const signs = (many: number) => Array.from({ length: many }, sign);

const lastCall = () => api.leaseCalls.findLast(({ instance }) => instance === worker.instance);
const events = () => ({ ...worker.report().events }) as Record<string, number>;
const clockIs = (ahead: number) =>
  until(`its clock is seen ${ahead} ms ahead`, () => {
    const seen = worker.report().policy?.clockAheadMs;
    return seen !== undefined && Math.abs(seen - ahead) < 30_000;
  });

/** Ends when a call of the worker is open at the API that takes whatever comes. */
const asksForWork = () =>
  until('it waits for work', () => {
    const call = lastCall();
    return call !== undefined && call.holding.length === 0 && call.max > 0 && call.waitMs === protocolLimits.maxWaitMs;
  });

/** The requests are in nobody's hands, without an outcome; the worker asks for nothing, and another one ends them. */
async function anotherDoesThem(t: Test, offers: readonly Offer[], before: Record<string, number>): Promise<void> {
  const since = (event: string): number => (events()[event] ?? 0) - (before[event] ?? 0);
  await until('all are given back, or failed', () => {
    const failed = offers.filter(({ id }) => api.outcomes.has(id)).length;
    return since('leases_given_back') + failed >= offers.length;
  });
  const held = (): boolean => offers.some(({ id }) => lastCall()?.holding.includes(id) === true);
  await until('the API hears of it', () => !held() && lastCall()?.max === 0);
  t.same(
    offers.flatMap(({ id }) => api.outcomes.get(id) ?? []),
    [],
  );
  const other = await startSlotWorker(t, { ...common, policy, node: 'node-2' });
  for (const { id, kind } of offers) {
    const outcome = await api.outcome(id);
    t.match(outcome, { kind: kind === 'Sign' ? 'Signatures' : 'PublicKey' });
    t.equal(api.outcomes.get(id)?.length, 1);
  }
  t.equal(since('leases_given_back'), offers.length, 'each was given back once');
  t.equal(since('authorisations_refused'), 0);
  await other.stop();
}

for (const [hour, direction] of [
  [3_600_000, 'forward'],
  [-3_600_000, 'backward'],
] as const) {
  t.test(`an hour ${direction}: what is delivered in the same moment is given back`, async (t) => {
    await asksForWork();
    const before = events();
    const offers = [...signs(5), caller.newKey()];
    steppedMs = hour;
    for (const offer of offers) api.offer(offer);
    await anotherDoesThem(t, offers, before);
    steppedMs = 0;
    await clockIs(0);
  });

  t.test(`an hour ${direction}: what it held before is given back after the policy was read again`, async (t) => {
    await asksForWork();
    const gate = Promise.withResolvers<void>();
    worker.hsm.gate = gate.promise;
    t.teardown(() => gate.resolve());
    const before = events();
    const inside = sign();
    api.offer(inside);
    await until('it is judged', () => (events().authorisations_checked ?? 0) > (before.authorisations_checked ?? 0));
    // Tried before: they begin when nothing else is held.
    const offers = signs(5).map((offer) => ({ ...offer, attempt: 2 }));
    for (const offer of offers) api.offer(offer);
    await until('they wait', () => worker.report().held === offers.length + 1);
    steppedMs = hour;
    await clockIs(hour);
    gate.resolve();
    t.match(await api.outcome(inside.id), { kind: 'Signatures' }, 'it was judged by the right clock');
    await anotherDoesThem(t, offers, before);
    steppedMs = 0;
    await clockIs(0);
  });
}

t.test('with its clock right again it signs', async (t) => {
  const offer = sign();
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
});
