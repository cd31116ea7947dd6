import { randomBytes } from 'node:crypto';
import t from 'tap';
import { CodedError } from '../src/shared/errors.ts';
import { createKeyRing } from '../src/shared/key-ring.ts';
import { createLog } from '../src/shared/log.ts';
import { Dispatcher } from '../src/worker/hsm/dispatcher.ts';
import type { HsmFailure, HsmResult } from '../src/worker/hsm/jobs.ts';
import { openHsm } from '../src/worker/hsm/session-threads.ts';
import type { ThreadHandle } from '../src/worker/hsm/thread-handle.ts';
import type { ThreadCalls, WireTag } from '../src/worker/hsm/thread-protocol.ts';
import { anyPin, makeKey, open } from './support/open-hsm.ts';
import { createKeyStore } from './support/soft-token.ts';

/** A session thread that answers when the test says so. */
function fakeThread(index: number) {
  const waiting: { items: readonly unknown[]; resolve(value: unknown): void; reject(error: Error): void }[] = [];
  const sizes: number[] = [];
  let alive = true;
  const handle: ThreadHandle = {
    index,
    gone: Promise.resolve(),
    get alive() {
      return alive;
    },
    get inFlight() {
      return waiting.length;
    },
    ask: (_name, ask) =>
      new Promise((resolve, reject) => {
        const items = ask as readonly unknown[];
        sizes.push(items.length);
        waiting.push({ items, resolve: resolve as (value: unknown) => void, reject });
      }),
    terminate: async () => {},
  };
  return {
    handle,
    sizes,
    answer(): void {
      const one = waiting.shift();
      one?.resolve(one.items.map(() => ({ ok: true, value: true })));
    },
    die(): void {
      alive = false;
      for (const one of waiting.splice(0))
        one.reject(new CodedError('HSM_DEVICE_FAULT', `session thread ${index} ended`));
    },
    get inFlight() {
      return waiting.length;
    },
  };
}

const tags = (count: number): WireTag[] =>
  Array.from({ length: count }, () => ({ integrityKeyId: '', message: '', tag: '' }));
const run = (dispatcher: Dispatcher, count: number): Promise<HsmResult<boolean>[]> =>
  dispatcher.run(
    'check-tags',
    tags(count),
    (failure: HsmFailure): ThreadCalls['check-tags']['answer'][number] => failure,
  );
/** Lets the dispatcher see what was answered. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('few items are spread over all threads, one each', async (t) => {
  const threads = [fakeThread(0), fakeThread(1), fakeThread(2)];
  const done = run(new Dispatcher(threads.map(({ handle }) => handle)), 3);
  t.same(
    threads.map(({ sizes }) => sizes),
    [[1], [1], [1]],
  );
  for (const thread of threads) thread.answer();
  t.match(await done, [{ ok: true }, { ok: true }, { ok: true }]);
});

t.test('many items go in larger messages, two per thread at most, and the rest wait', async (t) => {
  const threads = [fakeThread(0), fakeThread(1)];
  const done = run(new Dispatcher(threads.map(({ handle }) => handle)), 400);
  t.same(
    threads.map(({ inFlight }) => inFlight),
    [2, 2],
  );
  t.ok(
    threads.every(({ sizes }) => sizes.every((size) => size === 32)),
    'no message carries more than 32 items',
  );
  while (threads.some(({ inFlight }) => inFlight > 0)) {
    for (const thread of threads) thread.answer();
    await settled();
  }
  t.equal((await done).length, 400);
});

t.test('quick items go in one message to each thread', async (t) => {
  // A clock of ours: by the real one, an answer that the machine kept waiting would make these items slow.
  let nowMs = 0;
  performance.now = () => {
    nowMs += 0.1;
    return nowMs;
  };
  t.teardown(() => Reflect.deleteProperty(performance, 'now'));
  const threads = [fakeThread(0), fakeThread(1)];
  const dispatcher = new Dispatcher(threads.map(({ handle }) => handle));
  const first = run(dispatcher, 2);
  for (const thread of threads) thread.answer();
  await first;
  // Answered at once: so quick that all of these are less work than what is worth two messages.
  const done = run(dispatcher, 20);
  t.same(
    threads.map(({ sizes }) => sizes),
    [
      [1, 10],
      [1, 10],
    ],
  );
  while (threads.some(({ inFlight }) => inFlight > 0)) {
    for (const thread of threads) thread.answer();
    await settled();
  }
  t.equal((await done).length, 20);
});

t.test('what a dying thread leaves is answered as lost, and the others go on', async (t) => {
  const [dying, living] = [fakeThread(0), fakeThread(1)];
  const dispatcher = new Dispatcher([dying.handle, living.handle]);
  const done = run(dispatcher, 2);
  dying.die();
  living.answer();
  t.match(await done, [{ ok: false, code: 'HSM_DEVICE_FAULT', device: 'lost', retryable: true }, { ok: true }]);
  const after = run(dispatcher, 2);
  living.answer();
  await settled();
  living.answer();
  t.match(await after, [{ ok: true }, { ok: true }]);
  t.same(dying.sizes, [1]);
});

t.test('when the last thread has died, everything is answered as lost at once', async (t) => {
  const thread = fakeThread(0);
  const dispatcher = new Dispatcher([thread.handle]);
  const done = run(dispatcher, 100);
  thread.die();
  t.ok((await done).every((answer) => !answer.ok && answer.device === 'lost'));
  t.match(await run(dispatcher, 1), [{ ok: false, device: 'lost' }]);
  await dispatcher.idle();
});

const store = await createKeyStore(t);

t.test('stopping waits for the work in flight, may be asked twice, and leaves every later job answered', async (t) => {
  const hsm = await open(store, store.slots[0]);
  const key = await makeKey(hsm, 'secp256k1');
  const job = { key, requests: [{ requestId: 'sig', digests: [randomBytes(32)] }] };
  const working = hsm.sign(Array.from({ length: 20 }, () => job));
  const stopping = hsm.stop();
  t.equal(hsm.stop(), stopping);
  t.ok((await working).every(([answer]) => answer?.ok));
  await stopping;
  t.match(await hsm.sign([job]), [[{ ok: false, device: 'lost', retryable: true }]]);
  t.match(await hsm.generateKeys([{ requestId: 'r', keyId: 'k', organisation: 'o', type: key.type }]), [
    { ok: false, device: 'lost' },
  ]);
  t.match(await hsm.checkTags([key]), [{ ok: false, device: 'lost' }]);
  t.match(await hsm.probe(), { ok: false, device: 'lost' });
  t.equal(hsm.oldestCallMs(), 0);
});

t.test('a native call in flight is seen from the main thread while it lasts', async (t) => {
  const hsm = await open(store, { ...store.slots[0], sessions: 1 });
  t.teardown(() => hsm.stop());
  const key = await makeKey(hsm, 'secp256k1');
  const jobs = Array.from({ length: 300 }, () => ({
    key,
    requests: [{ requestId: 'sig', digests: [randomBytes(32)] }],
  }));
  let seen = 0;
  let working = true;
  const look = (): void => {
    seen = Math.max(seen, hsm.oldestCallMs());
    if (working) setImmediate(look);
  };
  look();
  await hsm.sign(jobs);
  working = false;
  t.ok(seen > 0 && seen < 5_000, `${seen} ms`);
  t.equal(hsm.oldestCallMs(), 0);
  await hsm.stop();
});

t.test(
  'the start-up turn is held from the first native call to the last login, and given back on failure',
  async (t) => {
    const events: string[] = [];
    const turn = {
      take: async () => {
        events.push('take');
      },
      done: () => {
        events.push('done');
      },
    };
    let oldest: (() => number) | undefined;
    const parts = { ring: createKeyRing(store.ceremony), log: createLog('error', {}) };
    const options = { ...parts, turn, firstLogin: anyPin };
    const hsm = await openHsm({
      ...options,
      slot: store.slots[0],
      watch: (oldestCallMs) => {
        oldest = oldestCallMs;
        events.push('watch');
      },
    });
    t.same(events, ['watch', 'take', 'done']);
    t.equal(oldest?.(), 0);
    await hsm.stop();
    events.length = 0;
    await t.rejects(openHsm({ ...options, slot: { ...store.slots[0], tokenLabel: 'nowhere' } }), {
      code: 'TOKEN_NOT_FOUND',
    });
    t.same(events, ['take', 'done']);
  },
);

t.test('eight sessions open on one token', async (t) => {
  const hsm = await open(store, { ...store.slots[0], sessions: 8 });
  t.teardown(() => hsm.stop());
  const key = await makeKey(hsm, 'ed25519');
  const jobs = Array.from({ length: 64 }, () => ({
    key,
    requests: [{ requestId: 'sig', digests: [randomBytes(32)] }],
  }));
  t.ok((await hsm.sign(jobs)).every(([answer]) => answer?.ok));
  await hsm.stop();
});
