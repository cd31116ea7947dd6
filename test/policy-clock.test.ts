import t from 'tap';
import type { LeasedGenerateKey } from '../src/shared/driver-protocol.ts';
import { requestId } from '../src/shared/keys.ts';
import { createLog } from '../src/shared/log.ts';
import { clockDoubt, readClock } from '../src/shared/orders/clock.ts';
import { orderTime } from '../src/shared/orders/order-time.ts';
import { newOrder } from '../src/shared/orders/sign-order.ts';
import { type AdmissionRules, createAdmission } from '../src/worker/policy/admission.ts';
import { makeCaller } from './support/caller.ts';
import { keyStore } from './support/slot-worker.ts';
import { createSoftwareHsm } from './support/software-hsm.ts';

/** A node whose clock has jumped cannot tell an authorisation's age: it takes no work, and what it holds it gives back. */
const caller = makeCaller();
const request = { ...caller.newKey(), lease: '6f2d5a0e-93b1-4c1f-9d52-9d1f0e3c7a11' } as LeasedGenerateKey;
const pinned = {
  organisation: caller.listed.organisation,
  signed: () => true,
  operations: new Set(caller.listed.operations),
};

const hourMs = 3_600_000;

/** @param steppedMs how far the clock has stepped since it was compared with the database's. */
const admission = (mode: AdmissionRules['mode'], clockAheadMs: number, steppedMs = 0) => {
  const { offsetMs: clockOffsetMs } = readClock();
  const known = { credentials: { version: 1, size: 1, find: () => pinned }, frozen: [], clockAheadMs, clockOffsetMs };
  const doubts: true[] = [];
  const counted: string[] = [];
  const created = createAdmission({
    keyStore,
    rules: { mode, maxAgeMs: 900_000, primary: true, kinds: undefined },
    state: { current: async () => known, known },
    readClock: () => {
      const { nowMs, offsetMs } = readClock();
      return { nowMs: nowMs + steppedMs, offsetMs: offsetMs + steppedMs };
    },
    onDoubt: () => void doubts.push(true),
    count: (event) => void counted.push(event),
    log: createLog('silent', {}),
  });
  return { admission: created, doubts, counted };
};

t.test('a clock within a minute of the database’s is believed, in both directions', async (t) => {
  for (const ahead of [0, 59_000, -59_000]) {
    const { admission: one, doubts } = admission('enforce', ahead);
    t.ok(one.mayTake);
    t.equal((await one.current()).generateKey(request), undefined);
    t.equal(doubts.length, 0);
  }
});

t.test('one that differs by more takes no work while it enforces, and judges no request', async (t) => {
  for (const ahead of [61_000, -61_000, 86_400_000]) {
    const { admission: one, doubts, counted } = admission('enforce', ahead);
    t.notOk(one.mayTake);
    const doubted = `this node’s clock is ${Math.round(ahead / 1_000)} s ahead of its database’s`;
    t.same((await one.current()).generateKey(request), { doubted });
    t.equal(doubts.length, 1, 'the API hears of it');
    t.same(counted, [], 'and nobody is alarmed for a request');
    t.equal(one.report().clockAheadMs, ahead);
  }
});

t.test('one that has stepped since it was compared is doubted before it is compared again', async (t) => {
  for (const stepped of [61_000, -61_000, hourMs, -hourMs]) {
    const { admission: one } = admission('enforce', 0, stepped);
    t.notOk(one.mayTake);
    const doubted = `this node’s clock has stepped by ${Math.round(stepped / 1_000)} s`;
    t.same((await one.current()).generateKey(request), { doubted });
  }
});

t.test('a step that puts a wrong clock right is not believed before it is compared again', async (t) => {
  const { admission: one } = admission('enforce', hourMs, -hourMs);
  t.match((await one.current()).generateKey(request), { doubted: / 3600 s ahead/ });
  t.notOk(one.mayTake);
  t.match(clockDoubt({ aheadMs: hourMs, offsetMs: 0 }, -hourMs), / 3600 s ahead/);
  t.match(clockDoubt({ aheadMs: 50_000, offsetMs: 1_000 }, -60_001), /stepped by -61 s/);
});

t.test('small steps are doubted where they add up to more than a minute', async (t) => {
  t.match(clockDoubt({ aheadMs: 40_000, offsetMs: 7 }, 30_007), /stepped by 30 s/);
  t.match(clockDoubt({ aheadMs: -40_000, offsetMs: 7 }, -29_993), /stepped by -30 s/);
  t.equal(clockDoubt({ aheadMs: 40_000, offsetMs: 7 }, -29_993), undefined);
  t.equal(clockDoubt({ aheadMs: 0, offsetMs: 7 }, 60_007), undefined);
});

t.test('by a clock that is believed, what is too old or from the future is refused for good', async (t) => {
  for (const age of [901_000, -120_000]) {
    const type = { scheme: 'ECDSA', curve: 'secp256k1' };
    const { authorisation, userAction } = caller.authorise('/keys', type, Date.now() - age);
    const id = requestId('key', request.organisation, { userAction });
    const { admission: one, doubts, counted } = admission('enforce', 0);
    const decided = (await one.current()).generateKey({ ...request, id, keyId: id, authorisation });
    t.match(decided, { refused: 'AUTHORISATION_EXPIRED', detail: /this node’s clock says/ });
    t.equal(doubts.length, 0);
    t.same(counted, ['authorisations_checked', 'authorisations_refused']);
  }
});

t.test('where nothing is enforced, nothing stops for a clock', async (t) => {
  for (const mode of ['off', 'report'] as const) {
    for (const [ahead, stepped] of [
      [86_400_000, 0],
      [0, 86_400_000],
    ] as const) {
      const { admission: one, doubts, counted } = admission(mode, ahead, stepped);
      t.ok(one.mayTake);
      t.equal((await one.current()).generateKey(request), undefined);
      t.equal(doubts.length, 0);
      t.same(counted, mode === 'off' ? [] : ['authorisations_checked', 'authorisations_refused']);
    }
  }
});

t.test('by a clock that has jumped no order is obeyed, unless a worker attests that it was in its time', async (t) => {
  const hsm = createSoftwareHsm(keyStore);
  const pinned = { keyStore, attestationKey: hsm.attestationKey };
  const { order } = newOrder({ keyStore, about: { kind: 'thaw', subject: 'x' }, reason: '' }, 3_600_000);
  const nowMs = Date.now();
  t.same(orderTime(order, [], pinned, { nowMs, aheadMs: 0 }), { vouchedBy: 'clock' });
  for (const aheadMs of [61_000, -61_000])
    t.match(orderTime(order, [], pinned, { nowMs, aheadMs }), {
      refused: { code: 'ORDER_REFUSED', message: /this node’s clock is -?61 s ahead/ },
    });
  const attestation = await hsm.attestOrder(order);
  if (!attestation.ok) throw new Error(attestation.message);
  const dayLater = { nowMs: nowMs + 86_400_000, aheadMs: 86_400_000 };
  t.same(orderTime(order, ['x', attestation.value], pinned, dayLater), { vouchedBy: 'attestation' });
  t.match(orderTime(order, [], pinned, { ...dayLater, aheadMs: 0 }), { refused: { message: /expired/ } });
});
