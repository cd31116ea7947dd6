import { randomBytes } from 'node:crypto';
import t from 'tap';
import { renew } from '../src/api/queue/lease.ts';
import type { LeasedRequest } from '../src/shared/driver-protocol.ts';
import { openTestDatabases } from './support/database.ts';
import { keyRequest, makeKey, openDriver, openQueue, organisation, signatures, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const elsewhere = await openQueue(t, databases.api);
const key = await makeKey(queue);

type Driver = ReturnType<typeof openDriver>;

/** Leaves nothing behind for the next test. */
async function finish(driver: Driver, leased: readonly LeasedRequest[]): Promise<void> {
  for (const request of leased) await driver.report(request, signatures(key.publicKey));
  await driver.release();
}

t.test('a waiting driver gets a new request at once, also from another API process', async (t) => {
  const [here, there] = [openDriver(queue, 'node-a'), openDriver(elsewhere, 'node-b')];
  for (const driver of [here, there]) {
    const waiting = driver.lease(1, 30_000);
    const request = signRequest(key.id);
    await queue.application.submit(request);
    const held = queue.application.hold(request.id, 60_000);
    const [leased] = await waiting;
    t.match(leased, { id: request.id, attempt: 1, lookUp: false, queuedMs: Number });
    t.equal(await driver.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
    t.match(await held, { state: 'signed' });
    await driver.release();
  }
});

t.test('a lost answer costs nothing: what an instance does not hold goes back at its next call', async (t) => {
  const driver = openDriver(queue, 'node-a');
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const [lost] = await driver.lease(5, 30_000);
  t.equal(lost?.id, request.id);
  const [again] = await driver.lease(5, 30_000, []);
  t.match(again, { id: request.id, attempt: 1, lookUp: true });
  t.match(await driver.lease(5, 0, [request.id]), [], 'what it holds stays its own');
  t.equal(await driver.report(again ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
  await driver.release();
});

t.test('a call waits for no request that somebody is at; the next one gives it back', async (t) => {
  const [driver, other] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const [kept, lost] = [signRequest(key.id), signRequest(key.id)];
  for (const request of [kept, lost]) await queue.application.submit(request);
  const leased = await driver.lease(5, 30_000);
  t.equal(leased.length, 2);
  // Nobody calls for it from here on, and it is not missed before its end.
  const present = () =>
    queue.pool.query("update driver_instance set seen_at = now() + interval '1 hour' where id = $1", [driver.instance]);
  await present();
  // Old enough to be renewed.
  await queue.pool.query("update request set lease_until = now() + interval '8 seconds' where state = 'leased'");
  const renewed = async () =>
    (
      await queue.pool.query(
        "select from request where state = 'leased' and lease_until > now() + interval '9 seconds'",
      )
    ).rowCount;
  const ask = async () => {
    const returned = await renew(
      queue.pool,
      { name: 'node-a', keyStore: 'test' },
      { ...{ instance: driver.instance, slot: 'slot', max: 0, waitMs: 0 }, capabilities: [], holding: [kept.id] },
    );
    await present();
    return returned;
  };

  const holder = await queue.pool.connect();
  t.teardown(() => holder.release());
  await holder.query('begin');
  await holder.query('select from request where id = any($1) for update', [[kept.id, lost.id]]);
  t.same([await ask(), await renewed()], [0, 0]);
  await holder.query('rollback');
  t.same([await ask(), await renewed()], [1, 1]);

  await finish(
    driver,
    leased.filter(({ id }) => id === kept.id),
  );
  const givenBack = await other.lease(5, 30_000);
  t.match(givenBack, [{ id: lost.id, attempt: 1 }]);
  await finish(other, givenBack);
});

t.test('an instance that is released gives its requests to the others at once and never gets work again', async (t) => {
  const [gone, alive] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const request = signRequest(key.id);
  await queue.application.submit(request);
  t.match(await gone.lease(1, 30_000), [{ id: request.id }]);
  const waiting = alive.lease(1, 30_000);
  await gone.release();
  t.match(await waiting, [{ id: request.id, attempt: 2 }]);
  await t.rejects(gone.lease(1, 0), { code: 'INSTANCE_ENDED' });
  await finish(alive, await waiting);
});

t.test('an instance that is not seen loses its requests, long before its lease ends', async (t) => {
  const [killed, alive] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const request = signRequest(key.id);
  await queue.application.submit(request);
  t.match(await killed.lease(1, 30_000), [{ id: request.id }]);
  killed.die();
  const leased = await alive.lease(1, 30_000);
  t.match(leased, [{ id: request.id, attempt: 2 }]);
  await finish(alive, leased);
});

t.test(
  'what was tried once before is leased in small groups of its like, what was tried more often alone',
  async (t) => {
    const submit = async (count: number): Promise<string[]> => {
      const requests = Array.from({ length: count }, () => signRequest(key.id));
      for (const request of requests) await queue.application.submit(request);
      return requests.map(({ id }) => id);
    };
    const [first, second] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
    const tried = await submit(20);
    t.equal((await first.lease(20, 30_000)).length, 20);
    await first.release();
    const neighbours = await submit(2);
    const group = await second.lease(256, 30_000);
    t.ok(group.length > 1 && group.length <= 16, `${group.length} of 20`);
    t.same(new Set(group.map(({ attempt }) => attempt)), new Set([2]));
    const ids = group.map(({ id }) => id);
    t.ok(ids.every((id) => tried.includes(id)));
    await second.release();

    // Twice now: each alone, though others wait that would fit in, and the rest of the twenty in a group again.
    const left = new Set([...tried, ...neighbours]);
    const sizes = new Map<number, number[]>();
    while (left.size > 0) {
      const third = openDriver(queue, 'node-a');
      const leased = await third.lease(256, 30_000);
      const [attempt = 0, ...more] = new Set(leased.map((one) => one.attempt));
      t.same(more, [], 'one kind at a time');
      sizes.set(attempt, [...(sizes.get(attempt) ?? []), leased.length]);
      for (const { id } of leased) t.ok(left.delete(id));
      await finish(third, leased);
    }
    t.same(sizes.get(3), Array(ids.length).fill(1));
    t.same(sizes.get(2), [20 - ids.length]);
    t.same(sizes.get(1), [2]);
  },
);

t.test('an instance belongs to the node that named it first', async (t) => {
  const driver = openDriver(queue, 'node-a');
  await driver.lease(1, 0);
  const call = { instance: driver.instance, slot: 's', capabilities: [], max: 0, holding: [], waitMs: 0 };
  const thief = queue.driver.lease({ name: 'node-b', keyStore: 'test' }, call, new AbortController().signal);
  await t.rejects(thief, { code: 'INSTANCE_OF_OTHER_NODE' });
});

t.test('a driver of another key store gets nothing of this one', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  const call = {
    instance: driver.instance,
    slot: 's',
    capabilities: ['Sign:ECDSA/secp256k1'],
    max: 5,
    holding: [],
    waitMs: 0,
  };
  t.same(await queue.driver.lease({ name: 'node-x', keyStore: 'other' }, call, new AbortController().signal), []);
  const own = openDriver(queue, 'node-b');
  const leased = await own.lease(5, 30_000);
  t.match(leased, [{ id: request.id }]);
  await finish(own, leased);
});

t.test('the same externalId is one request, and one user action has one effect', async (t) => {
  const externalId = randomBytes(8).toString('hex');
  const first = await queue.application.submit(signRequest(key.id, { externalId }));
  const second = await elsewhere.application.submit(signRequest(key.id, { externalId }));
  t.same([first.fresh, second.fresh, second.row.id], [true, false, first.row.id]);
  const used = signRequest(key.id, { userAction: 'one-user-action' });
  await queue.application.submit(used);
  const stolen = signRequest(key.id, { userAction: 'one-user-action', externalId: randomBytes(8).toString('hex') });
  await t.rejects(elsewhere.application.submit(stolen), { code: 'USER_ACTION_USED' });
  t.equal(await elsewhere.application.find(organisation, stolen.id), undefined);
  t.equal(await elsewhere.application.find('or-other', used.id), undefined, 'another organisation sees nothing');
});

t.test('a key request that no driver ever saw can be cancelled, one that was delivered cannot', async (t) => {
  const unseen = keyRequest();
  const delivered = keyRequest();
  await queue.application.submit(delivered);
  const driver = openDriver(queue, 'node-a');
  const ids = (await driver.lease(64, 30_000)).map(({ id }) => id);
  t.ok(ids.includes(delivered.id));
  await driver.release();
  await queue.application.submit(unseen);
  t.match(await queue.application.cancel(unseen.id), { state: 'cancelled' });
  t.match(await queue.application.cancel(delivered.id), { state: 'queued' });
});
