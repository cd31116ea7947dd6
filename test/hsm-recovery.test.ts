import { randomBytes } from 'node:crypto';
import t from 'tap';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import { generateKey } from '../src/worker/hsm/generate-key.ts';
import type { HsmResult } from '../src/worker/hsm/jobs.ts';
import type { Cryptoki } from '../src/worker/hsm/module.ts';
import { proveAtWork, proveSlot } from '../src/worker/hsm/probe.ts';
import { type KeyToSignWith, signWithKey } from '../src/worker/hsm/sign.ts';
import { signatureHolds } from '../src/worker/hsm/verify.ts';
import type { Workbench } from '../src/worker/hsm/workbench.ts';
import { bench, load, logIn } from './support/in-process.ts';
import { generateJob, keyType, value } from './support/open-hsm.ts';
import { createKeyStore } from './support/soft-token.ts';

/**
 * What happens inside a session thread when PKCS#11 functions fail: a real token behind functions that can be told to
 * answer something else.
 */
const store = await createKeyStore(t);
const [slot] = store.slots;
const real = load(slot);
logIn(real, slot);

type Name = keyof Cryptoki;
/** Answers of the next calls of a function: a code, or undefined for what the token says. */
type Plan = Partial<Record<Name, (number | undefined)[]>>;

function faulty(): { cryptoki: Cryptoki; plan: Plan; calls: Record<string, number> } {
  const plan: Plan = {};
  const calls: Record<string, number> = {};
  const cryptoki = Object.fromEntries(
    Object.entries(real).map(([name, native]: [string, (...given: unknown[]) => unknown]) => [
      name,
      (...given: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1;
        const code = plan[name as Name]?.shift();
        if (code !== undefined) throw new Pkcs11Fault(name, code);
        return native(...given);
      },
    ]),
  ) as unknown as Cryptoki;
  return { cryptoki, plan, calls };
}

/** A proven, armed workbench on functions that can fail, and a key to sign with. */
function armed() {
  const { cryptoki, plan, calls } = faulty();
  const one = bench(cryptoki, store, slot);
  t.teardown(() => one.close());
  const proof = proveSlot(one);
  one.arm(proof);
  const { startUpBlob } = proof;
  const { key } = generateKey(one, generateJob('P-256'));
  for (const name of Object.keys(calls)) delete calls[name];
  return { one, plan, calls, key, startUpBlob };
}

const digest = randomBytes(32);
const sign = (one: Workbench, key: KeyToSignWith, requests = 1): readonly HsmResult<unknown>[] =>
  signWithKey(
    one,
    key,
    Array.from({ length: requests }, () => [digest]),
  );

for (const code of [0xb0, 0xb3, 0x101, 0x82, 0x60, 0x90, 0x91]) {
  t.test(
    `a session that wears out (0x${code.toString(16)}) is replaced once, and all requests are signed`,
    async (t) => {
      const { one, plan, calls, key } = armed();
      plan.sign = [undefined, code];
      const answers = sign(one, key, 3);
      t.match(answers, [{ ok: true }, { ok: true }, { ok: true }]);
      t.equal(calls.openSession, 1);
      t.equal(calls.sign, 4, 'what was signed before is not signed again');
      t.equal(calls.unwrapKey, 2);
    },
  );
}

t.test('a session that wears out twice over one item says that the device is suspect', async (t) => {
  const { one, plan, calls, key } = armed();
  plan.unwrapKey = [0xb3, 0xb3];
  t.match(sign(one, key), [{ ok: false, code: 'HSM_DEVICE_FAULT', device: 'suspect', retryable: true }]);
  t.equal(calls.openSession, 1, 'one new session, not more');
  t.match(sign(one, key), [{ ok: true }], 'and the next item is none the worse');
});

t.test('a lost master key handle is looked up again; a master key that is gone is the device’s loss', async (t) => {
  const { one, plan, key } = armed();
  plan.unwrapKey = [0xf0];
  t.match(sign(one, key), [{ ok: true }]);
  plan.unwrapKey = [0xf0, 0xf0];
  t.match(sign(one, key), [{ ok: false, code: 'MASTER_KEY_MISSING', device: 'lost', retryable: true }]);
});

t.test('one ambiguous answer to C_UnwrapKey does not make a good key unusable', async (t) => {
  const { one, plan, calls, key } = armed();
  plan.unwrapKey = [0x05];
  t.match(sign(one, key), [{ ok: true }]);
  t.equal(calls.unwrapKey, 3, 'the key, the start-up blob, the key again');
});

t.test('when the start-up blob fails too, the device is suspect and the key is not judged', async (t) => {
  const { one, plan, key } = armed();
  for (const code of [0x05, 0x06, 0x30, 0x110]) {
    plan.unwrapKey = [code, code];
    t.match(
      sign(one, key),
      [{ ok: false, code: 'HSM_DEVICE_FAULT', device: 'suspect', retryable: true }],
      `0x${code.toString(16)}`,
    );
  }
});

t.test('when the start-up blob opens, a blob that fails twice is an unusable key on a healthy device', async (t) => {
  const { one, plan, key } = armed();
  for (const code of [0x05, 0x06, 0x110, 0x112]) {
    plan.unwrapKey = [code, undefined, code];
    t.match(
      sign(one, key),
      [{ ok: false, code: 'KEY_UNUSABLE', device: 'healthy', retryable: false, elsewhere: true }],
      `0x${code.toString(16)}`,
    );
  }
});

t.test('vendor codes are the device’s, a removed device is lost, a full one only lacks room', async (t) => {
  const { one, plan, key } = armed();
  const verdicts: readonly [number, object][] = [
    [0x80000123, { code: 'HSM_DEVICE_FAULT', device: 'suspect', retryable: true }],
    [0x32, { code: 'HSM_DEVICE_FAULT', device: 'lost', retryable: true }],
    [0xe0, { code: 'HSM_DEVICE_FAULT', device: 'lost', retryable: true }],
    [0x31, { code: 'HSM_BACK_PRESSURE', device: 'healthy', retryable: true }],
  ];
  for (const [code, verdict] of verdicts) {
    plan.sign = [code];
    t.match(sign(one, key), [verdict], `C_Sign 0x${code.toString(16)}`);
    plan.unwrapKey = [code];
    t.match(sign(one, key), [verdict], `C_UnwrapKey 0x${code.toString(16)}`);
  }
});

t.test('a refused request fails alone', async (t) => {
  const { one, plan, calls, key } = armed();
  plan.sign = [undefined, 0x21];
  t.match(sign(one, key, 3), [
    { ok: true },
    { ok: false, code: 'HSM_REQUEST_REFUSED', device: 'healthy', retryable: false },
    { ok: true },
  ]);
  t.equal(calls.unwrapKey, 1);
  t.equal(calls.openSession, undefined);
});

t.test('a key that cannot be destroyed goes with its session at once', async (t) => {
  const { one, plan, calls, key } = armed();
  plan.destroyObject = [0x05];
  t.match(sign(one, key), [{ ok: true }]);
  t.equal(calls.closeSession, 1, 'closing the session destroys its objects');
  t.match(sign(one, key), [{ ok: true }]);
  t.equal(calls.openSession, 1);
});

t.test('an extractable key that cannot be destroyed goes with its session before anything else happens', async (t) => {
  const { one, plan, calls } = armed();
  plan.destroyObject = [undefined, 0x30];
  t.match(
    one.attempt(() => generateKey(one, generateJob('P-256'))),
    { ok: true },
  );
  t.equal(calls.closeSession, 1);
});

t.test('a wrapped blob that does not open again makes no key', async (t) => {
  const { one, plan } = armed();
  plan.unwrapKey = [0x05];
  t.match(
    one.attempt(() => generateKey(one, generateJob('P-256'))),
    { ok: false, code: 'HSM_DEVICE_FAULT', device: 'suspect' },
  );
});

t.test('after a new session the attestation key is there again', async (t) => {
  const { one, plan, key } = armed();
  const job = generateJob('ed25519');
  plan.unwrapKey = [0xb3];
  sign(one, key);
  const made = value(one.attempt(() => generateKey(one, job)));
  t.match(made.key.type, job.type);
  t.equal(Buffer.from(made.attestation, 'base64url').length, 64);
});

t.test('a signature that does not verify is discarded and never answered', async (t) => {
  const { cryptoki } = faulty();
  let flip = false;
  const lying: Cryptoki = {
    ...cryptoki,
    sign: (...given) => {
      const made = cryptoki.sign(...given);
      if (flip && made.length === 64) made.writeUInt8(made.readUInt8(20) ^ 1, 20);
      return made;
    },
  };
  const one = bench(lying, store, slot);
  t.teardown(() => one.close());
  one.arm(proveSlot(one));
  for (const curve of ['secp256k1', 'P-256', 'ed25519'] as const) {
    flip = false;
    const { key } = generateKey(one, generateJob(curve));
    flip = true;
    t.match(sign(one, key), [{ ok: false, code: 'SIGNATURE_INVALID', device: 'suspect', retryable: true }], curve);
    t.match(
      one.attempt(() => generateKey(one, generateJob(curve))),
      { ok: false, code: 'SIGNATURE_INVALID' },
      'nor is a key made',
    );
  }
});

t.test('a token that answers a signature of the wrong length is suspect', async (t) => {
  const { cryptoki } = faulty();
  let cut = false;
  const one = bench(
    { ...cryptoki, sign: (...given) => cryptoki.sign(...given).subarray(0, cut ? 63 : 64) },
    store,
    slot,
  );
  t.teardown(() => one.close());
  one.arm(proveSlot(one));
  const { key } = generateKey(one, generateJob('P-256'));
  cut = true;
  t.match(sign(one, key), [{ ok: false, code: 'HSM_DEVICE_FAULT', device: 'suspect' }]);
});

t.test('a token that hands out a private key’s value does not pass the probe', async (t) => {
  const { cryptoki } = faulty();
  const leaking: Cryptoki = {
    ...cryptoki,
    attribute: (session, object, type) =>
      type === 0x11 ? Buffer.alloc(32, 7) : cryptoki.attribute(session, object, type),
  };
  const one = bench(leaking, store, slot);
  t.teardown(() => one.close());
  t.throws(() => proveSlot(one), /gives out the value/);
});

t.test('a token that ignores what an unwrapped key must be does not pass the probe', async (t) => {
  const { cryptoki } = faulty();
  let unwrapped = false;
  const lax: Cryptoki = {
    ...cryptoki,
    unwrapKey: (...given) => {
      unwrapped = true;
      return cryptoki.unwrapKey(...given);
    },
    attribute: (session, object, type) =>
      unwrapped && type === 0x162 ? Buffer.from([1]) : cryptoki.attribute(session, object, type),
  };
  const one = bench(lax, store, slot);
  t.teardown(() => one.close());
  t.throws(() => proveSlot(one), { code: 'HSM_DEVICE_FAULT', detail: /CKA_EXTRACTABLE true though told otherwise/ });
});

t.test('a master key that may decrypt is not the ceremony’s', async (t) => {
  const { cryptoki } = faulty();
  const lax: Cryptoki = {
    ...cryptoki,
    attribute: (session, object, type) =>
      type === 0x105 ? Buffer.from([1]) : cryptoki.attribute(session, object, type),
  };
  const one = bench(lax, store, slot);
  t.teardown(() => one.close());
  t.throws(() => proveSlot(one), { code: 'MASTER_KEY_OTHER', detail: /CKA_DECRYPT is true/ });
});

t.test('a device that fails in the middle of the identity proof is not called another master key', async (t) => {
  const { one, plan } = armed();
  // Three curves are proven first: their unwraps succeed, the first canary's meets a removed device.
  plan.unwrapKey = [undefined, undefined, undefined, 0x32];
  t.throws(() => proveSlot(one), { code: 0x32 });
});

t.test('the probe at work notices a device that fails and one that opens no canary', async (t) => {
  const { one, plan, startUpBlob } = armed();
  t.match(
    one.attempt(() => proveAtWork(one, startUpBlob)),
    { ok: true },
  );
  plan.wrapKey = [0x30];
  t.match(
    one.attempt(() => proveAtWork(one, startUpBlob)),
    { ok: false, code: 'HSM_DEVICE_FAULT', device: 'suspect' },
  );
  plan.unwrapKey = [undefined, undefined, 0x05];
  t.match(
    one.attempt(() => proveAtWork(one, startUpBlob)),
    { ok: false, code: 'MASTER_KEY_OTHER', device: 'lost' },
  );
});

t.test('no room for a new session is back-pressure, and the thread recovers when there is room again', async (t) => {
  const { one, plan, key } = armed();
  plan.unwrapKey = [0xb3];
  plan.openSession = [0xb1];
  t.match(sign(one, key), [{ ok: false, code: 'HSM_BACK_PRESSURE', device: 'healthy', retryable: true }]);
  const answers = signWithKey(one, key, [[digest]]);
  const [signature] = value(answers[0]);
  t.ok(signature !== undefined && signatureHolds(keyType('P-256'), key.publicKey, digest, signature));
});
