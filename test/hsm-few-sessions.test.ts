import t from 'tap';
import { buildFaultModule, openFaultControl } from './support/fault-module/fault-module.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';

/** A token that has room for fewer sessions than the slot is configured to have: YubiHSM has 16, network HSMs share theirs. */
const store = await createKeyStore(t);
const control = openFaultControl(temporaryDirectory(t));
const slot = {
  ...store.slots[0],
  module: await buildFaultModule(),
  environment: { ...store.slots[0].environment, ...control.environment },
};

t.test('the slot works with as many sessions as the token has room for, and no thread is left over', async (t) => {
  control.set([{ action: 'session-limit', max: 3 }]);
  const hsm = await open(store, { ...slot, sessions: 8 });
  t.equal(hsm.sessions, 3);
  const key = await makeKey(hsm, 'P-256');
  const requests = [{ requestId: 'r', digests: [Buffer.alloc(32, 1)] }];
  const answers = await hsm.sign(Array.from({ length: 20 }, () => ({ key, requests })));
  t.ok(answers.every(([answer]) => answer?.ok));
  t.match(await hsm.probe(), { ok: true });
  await hsm.stop();
});

t.test('without room for a single one it is not opened, and says why', async (t) => {
  control.set([{ action: 'session-limit', max: 0 }]);
  await t.rejects(open(store, { ...slot, sessions: 2 }), { code: 'HSM_BACK_PRESSURE', detail: /CKR_SESSION_COUNT/ });
});

t.test('another fault of a later session keeps the slot from work: it is no lack of room', async (t) => {
  control.set([{ on: ['C_OpenSession'], action: 'error', code: 0x30, after: 2 }]);
  await t.rejects(open(store, { ...slot, sessions: 4 }), { code: 'HSM_DEVICE_FAULT', detail: /CKR_DEVICE_ERROR/ });
});
