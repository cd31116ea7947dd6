import t from 'tap';
import type { LeasedGenerateKey } from '../src/shared/driver-protocol.ts';
import { createLog } from '../src/shared/log.ts';
import { orderTime } from '../src/shared/orders/order-time.ts';
import { newOrder } from '../src/shared/orders/sign-order.ts';
import { type AdmissionRules, createAdmission } from '../src/worker/policy/admission.ts';
import { makeCaller } from './support/caller.ts';
import { keyStore } from './support/slot-worker.ts';
import { createSoftwareHsm } from './support/software-hsm.ts';

/** A node whose clock has jumped cannot tell an authorisation's age: it takes no work, and what it holds it refuses. */
const caller = makeCaller();
const request = { ...caller.newKey(), lease: '6f2d5a0e-93b1-4c1f-9d52-9d1f0e3c7a11' } as LeasedGenerateKey;
const pinned = {
  organisation: caller.listed.organisation,
  signed: () => true,
  operations: new Set(caller.listed.operations),
};

const admission = (mode: AdmissionRules['mode'], clockAheadMs: number) => {
  const known = { credentials: { version: 1, size: 1, find: () => pinned }, frozen: [], clockAheadMs };
  return createAdmission({
    keyStore,
    rules: { mode, maxAgeMs: 900_000, primary: true, kinds: undefined },
    state: { current: async () => known, known },
    count: () => {},
    log: createLog('silent', {}),
  });
};

t.test('a clock within a minute of the database’s is believed, in both directions', async (t) => {
  for (const ahead of [0, 59_000, -59_000]) {
    const { mayTake, current } = admission('enforce', ahead);
    t.ok(mayTake);
    t.equal((await current()).generateKey(request), undefined);
  }
});

t.test('one that differs by more takes no work while it enforces, and says why it refuses', async (t) => {
  for (const ahead of [61_000, -61_000, 86_400_000]) {
    const { mayTake, current, report } = admission('enforce', ahead);
    t.notOk(mayTake);
    t.match((await current()).generateKey(request), {
      refused: 'AUTHORISATION_EXPIRED',
      detail: `this node’s clock is ${Math.round(ahead / 1_000)} s ahead of its database’s`,
    });
    t.equal(report().clockAheadMs, ahead);
  }
});

t.test('where nothing is enforced, nothing stops for a clock', async (t) => {
  for (const mode of ['off', 'report'] as const) {
    const { mayTake, current } = admission(mode, 86_400_000);
    t.ok(mayTake);
    t.equal((await current()).generateKey(request), undefined);
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
