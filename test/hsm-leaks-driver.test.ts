import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import secp256k1 from 'secp256k1';
import t from 'tap';
import type { Cryptoki } from '../src/worker/hsm/module.ts';
import { signWithKey } from '../src/worker/hsm/sign.ts';
import { bench, load } from './support/in-process.ts';
import { keyType, value } from './support/open-hsm.ts';
import { createKeyStore } from './support/soft-token.ts';

/**
 * The driver’s own share of what signing leaves behind, over 100,000 signatures: SoftHSM loses some hundred bytes with each
 * (hsm-leaks.test.ts), so here only the token’s three calls are played, in software, and everything around them is real.
 */
const operations = 100_000;
const warmUp = operations / 10;
t.setTimeout(300_000);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const store = await createKeyStore(t);
const [slot] = store.slots;
const real = load(slot);
const privateKey = randomBytes(32);
const publicKey = Buffer.from(secp256k1.publicKeyCreate(privateKey, true)).toString('hex');
let played = false;
let handles = 0;
const cryptoki: Cryptoki = {
  ...real,
  unwrapKey(...of) {
    if (!played) return real.unwrapKey(...of);
    handles += 1;
    return Buffer.alloc(8);
  },
  sign: (session, mechanism, key, data) =>
    played ? Buffer.from(secp256k1.ecdsaSign(data, privateKey).signature) : real.sign(session, mechanism, key, data),
  destroyObject(session, object) {
    if (played) handles -= 1;
    else real.destroyObject(session, object);
  },
};
const work = bench(cryptoki, store, slot);
t.teardown(() => work.close());

t.test('100,000 signatures leave no handle and no memory of the driver’s behind', async (t) => {
  const masterKeyId = store.ceremony.masterKey.id;
  const key = { keyId: 'key-played', type: keyType('secp256k1'), publicKey, masterKeyId, blob: randomBytes(72) };
  played = true;
  t.teardown(() => {
    played = false;
  });
  const held = async (): Promise<number> => {
    collectGarbage();
    await turn();
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const sign = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      value(signWithKey(work, key, [[randomBytes(32)]])[0]);
      // Buffers of native code are let go of in a turn of the event loop, as a session thread has between two jobs.
      if (index % 1_000 === 0) await turn();
    }
  };
  await sign(warmUp);
  const before = await held();
  const rss = process.memoryUsage.rss();
  await sign(operations);
  const grown = (await held()) - before;
  const resident = process.memoryUsage.rss() - rss;
  t.equal(handles, 0);
  t.ok(grown < 10 * operations, `${grown} bytes are held after ${operations} signatures`);
  // RSS moves by tens of megabytes with the garbage of the moment: told, and judged by what is held.
  t.comment(`RSS grew by ${Math.round(resident / operations)} bytes per signature`);
});
