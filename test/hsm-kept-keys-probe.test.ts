import { randomBytes } from 'node:crypto';
import t from 'tap';
import { buildFaultModule, openFaultControl } from './support/fault-module/fault-module.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';

t.test('whoever doubts the device has every session thread close the keys that it kept', async (t) => {
  const control = openFaultControl(temporaryDirectory(t));
  const store = await createKeyStore(t);
  const [slot] = store.slots;
  const hsm = await open(store, {
    ...slot,
    module: await buildFaultModule(),
    environment: { ...slot.environment, ...control.environment },
    sessions: 1,
    unwrappedKeyTtlMs: 60_000,
  });
  t.teardown(() => hsm.stop());
  const key = await makeKey(hsm, 'secp256k1');
  const unwrapsToSign = async (): Promise<number> => {
    const before = control.stats().calls.C_UnwrapKey;
    const request = { requestId: 'r', digests: [randomBytes(32)] };
    t.match(await hsm.sign([{ key, requests: [request] }]), [[{ ok: true }]]);
    return control.stats().calls.C_UnwrapKey - before;
  };
  t.equal(await unwrapsToSign(), 1);
  t.equal(await unwrapsToSign(), 0);
  t.match(await hsm.probe(), { ok: true });
  t.equal(await unwrapsToSign(), 1);
});
