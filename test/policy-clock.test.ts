import t from 'tap';
import type { LeasedGenerateKey } from '../src/shared/driver-protocol.ts';
import { createLog } from '../src/shared/log.ts';
import { type AdmissionRules, createAdmission } from '../src/worker/policy/admission.ts';
import { makeCaller } from './support/caller.ts';
import { keyStore } from './support/slot-worker.ts';

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
    rules: { mode, maxAgeMs: 900_000, kinds: undefined },
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
