import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { curves } from '../src/shared/keys.ts';
import type { Cryptoki } from '../src/worker/hsm/module.ts';
import { signWithKey } from '../src/worker/hsm/sign.ts';
import { bench, load } from './support/in-process.ts';
import { keyType, value } from './support/open-hsm.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * Signing leaves nothing behind: no object on the token, no handle, no session, no memory. What of the memory would be
 * the driver’s is measured exactly in hsm-leaks-driver.test.ts.
 */
const operations = 100_000;
/** secp256k1 takes this token seven times as long as the others: one signature in so many is by it. */
const rarely = 40;
const warmUp = operations / 10;
const collected = 2_000;
/**
 * SoftHSM 2.6.1 itself loses about 240 bytes with each unwrap and 64 with each signature (measured in plain C, without
 * this program); the rest is what a heap and its fragments may move by.
 */
const tokenLosesBytes = 304;
const slackBytes = 24 * 1024 * 1024;

t.setTimeout(600_000);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/**
 * Resident memory that belongs to no file: what is mapped from files (Node itself) comes and goes as the kernel likes, and
 * says nothing about us.
 */
function privateBytes(): number {
  if (process.platform !== 'linux') return process.memoryUsage.rss();
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

const store = await createKeyStore(t);
const [slot] = store.slots;
const real = load(slot);
const open = { handles: 0, sessions: 0 };
const counted: Cryptoki = {
  ...real,
  openSession(of) {
    const session = real.openSession(of);
    open.sessions += 1;
    return session;
  },
  closeSession(session) {
    real.closeSession(session);
    open.sessions -= 1;
  },
  generateKeyPair(...of) {
    const pair = real.generateKeyPair(...of);
    open.handles += 2;
    return pair;
  },
  unwrapKey(...of) {
    const key = real.unwrapKey(...of);
    open.handles += 1;
    return key;
  },
  destroyObject(...of) {
    real.destroyObject(...of);
    open.handles -= 1;
  },
};
const work = bench(counted, store, slot);
const objects = (): number => real.find(work.session.handle, [], 10_000).length;

t.test(`${operations} signatures leave no object, no handle, no session and no memory behind`, async (t) => {
  const before = { ...open, objects: objects() };
  const keys = curves.map((curve) => {
    const made = work.session.withNewKey(curve, (key, publicKey) => ({ publicKey, blob: work.session.wrap(key) }));
    return { keyId: `key-${curve}`, type: keyType(curve), masterKeyId: store.ceremony.masterKey.id, ...made };
  });
  const rare = keys.find(({ type }) => type.curve === 'secp256k1');
  const others = keys.filter((key) => key !== rare);
  // Every tenth with a blob that does not open, every tenth with a digest that is none: failures must leave nothing too.
  const sign = (index: number): void => {
    const key = index % rarely === 0 ? rare : others[index % others.length];
    if (key === undefined) throw new Error('no key');
    const broken = index % 10 === 3;
    const blob = broken ? Buffer.concat([key.blob.subarray(0, -8), randomBytes(8)]) : key.blob;
    const digest = index % 10 === 6 ? Buffer.alloc(0) : randomBytes(32);
    const [answer] = signWithKey(work, { ...key, blob }, [[digest]]);
    if (!broken && digest.length > 0) value(answer);
    else if (answer?.ok !== false) throw new Error('a request that must fail did not');
  };
  let index = 0;
  for (; index < warmUp; index += 1) {
    sign(index);
    if (index % 500 === 0) await turn();
    if (index % collected === 0) collectGarbage();
  }
  collectGarbage();
  const start = privateBytes();
  for (; index < operations; index += 1) {
    sign(index);
    // Buffers of native code are let go of in a turn of the event loop, as a session thread has between two jobs.
    if (index % 500 === 0) await turn();
    // On a busy machine V8 sweeps late: the heap then grows once by what lies around, and that would look like a leak.
    if (index % collected === 0) collectGarbage();
  }
  t.same({ ...open, objects: objects() }, before);
  const allowed = (operations - warmUp) * tokenLosesBytes + slackBytes;
  // What nobody holds goes back to the kernel in its own time, later on a machine that is busy; what leaked never does.
  let grown = 0;
  await until(`memory has grown by no more than ${allowed} bytes`, () => {
    collectGarbage();
    grown = privateBytes() - start;
    return grown <= allowed;
  }).catch((error: Error) => t.fail(`${error.message}; it has grown by ${grown}`));
  t.comment(`memory grew by ${Math.round(grown / (operations - warmUp))} bytes per signature`);
});

t.test('closing leaves no session', async (t) => {
  work.close();
  t.equal(open.sessions, 0);
});
