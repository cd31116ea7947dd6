import { randomBytes } from 'node:crypto';
import t from 'tap';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import { generateKey } from '../src/worker/hsm/generate-key.ts';
import type { Cryptoki } from '../src/worker/hsm/module.ts';
import { proveSlot } from '../src/worker/hsm/probe.ts';
import { signWithKey } from '../src/worker/hsm/sign.ts';
import type { Workbench } from '../src/worker/hsm/workbench.ts';
import type { WrappedKey } from '../src/worker/wrapped-key.ts';
import { bench, load, logIn } from './support/in-process.ts';
import { generateJob } from './support/open-hsm.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Keys that stay unwrapped in a session for a while, on a real token behind functions that count and can fail. */
const store = await createKeyStore(t);
const [slot] = store.slots;
const real = load(slot);
logIn(real, slot);

type Plan = Partial<Record<keyof Cryptoki, (number | undefined)[]>>;

function workbench(unwrappedKeyTtlMs: number, unwrappedKeys = 100) {
  const plan: Plan = {};
  const calls: Record<string, number> = {};
  const cryptoki = Object.fromEntries(
    Object.entries(real).map(([name, native]: [string, (...given: unknown[]) => unknown]) => [
      name,
      (...given: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1;
        const code = plan[name as keyof Cryptoki]?.shift();
        if (code !== undefined) throw new Pkcs11Fault(name, code);
        return native(...given);
      },
    ]),
  ) as unknown as Cryptoki;
  const one = bench(cryptoki, store, { ...slot, unwrappedKeyTtlMs, unwrappedKeys });
  t.teardown(() => one.close());
  one.arm(proveSlot(one));
  const keys = Array.from({ length: 3 }, () => generateKey(one, generateJob('secp256k1')).key);
  for (const name of Object.keys(calls)) delete calls[name];
  return { one, plan, calls, keys: keys as [WrappedKey, WrappedKey, WrappedKey] };
}

const minute = 60_000;
const sign = (one: Workbench, key: WrappedKey) => signWithKey(one, key, [[randomBytes(32)]]);

t.test('by default no handle outlives its batch', async (t) => {
  const { one, calls, keys } = workbench(0);
  for (let time = 0; time < 3; time += 1) t.match(sign(one, keys[0]), [{ ok: true }]);
  t.match(calls, { unwrapKey: 3, destroyObject: 3 });
});

t.test('a key that signs again within its time is not unwrapped again', async (t) => {
  const { one, calls, keys } = workbench(minute);
  for (let time = 0; time < 5; time += 1)
    for (const key of keys) t.match(sign(one, key), [{ ok: true }], 'verified against its own public key');
  t.equal(calls.unwrapKey, 3);
  t.equal(calls.destroyObject, undefined);
});

t.test('its time is over: it is destroyed although nobody asks for it', async (t) => {
  const { one, calls, keys } = workbench(50);
  for (const key of keys) t.match(sign(one, key), [{ ok: true }]);
  await until('all are destroyed', () => calls.destroyObject === 3);
  t.match(sign(one, keys[0]), [{ ok: true }]);
  t.equal(calls.unwrapKey, 4);
});

t.test('no more are kept than the slot allows: the one used longest ago goes', async (t) => {
  const { one, calls, keys } = workbench(minute, 2);
  const [a, b, c] = keys;
  for (const key of [a, b, a, c]) t.match(sign(one, key), [{ ok: true }]);
  t.match(calls, { unwrapKey: 3, destroyObject: 1 });
  t.match(sign(one, a), [{ ok: true }]);
  t.equal(calls.unwrapKey, 3, 'the one used lately is still there');
  t.match(sign(one, b), [{ ok: true }]);
  t.equal(calls.unwrapKey, 4);
});

t.test('another blob under the same key id is another key', async (t) => {
  const { one, calls, keys } = workbench(minute);
  const [a, b] = keys;
  t.match(sign(one, a), [{ ok: true }]);
  t.match(sign(one, { ...a, blob: b.blob, publicKey: b.publicKey }), [{ ok: true }]);
  t.equal(calls.unwrapKey, 2);
});

t.test('handles end with their session', async (t) => {
  const { one, plan, calls, keys } = workbench(minute);
  const [a, b] = keys;
  for (const key of [a, b]) t.match(sign(one, key), [{ ok: true }]);
  plan.sign = [0xb3];
  t.match(sign(one, a), [{ ok: true }]);
  t.match(calls, { openSession: 1, unwrapKey: 3 });
  t.match(sign(one, b), [{ ok: true }]);
  t.equal(calls.unwrapKey, 4, 'the other one was forgotten too');
});

t.test('a fault with a kept key fails no request before the key was opened anew', async (t) => {
  const { one, plan, calls, keys } = workbench(minute);
  t.match(sign(one, keys[0]), [{ ok: true }]);
  plan.sign = [0x63]; // CKR_KEY_TYPE_INCONSISTENT: the handle became another object’s
  t.match(sign(one, keys[0]), [{ ok: true }]);
  t.match(calls, { unwrapKey: 2, destroyObject: 1 });
});

t.test('a suspect answer closes all of them', async (t) => {
  const { one, plan, calls, keys } = workbench(minute);
  const [a, b] = keys;
  for (const key of [a, b]) t.match(sign(one, key), [{ ok: true }]);
  plan.sign = [0x30, 0x30]; // CKR_DEVICE_ERROR, with the kept key and with the one opened anew
  t.match(sign(one, a), [{ ok: false, device: 'suspect' }]);
  t.equal(calls.destroyObject, 3);
  t.match(sign(one, b), [{ ok: true }]);
  t.equal(calls.unwrapKey, 4);
});
