import { randomUUID } from 'node:crypto';
import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import { holdInsert, insertsWaiting } from './support/held-insert.ts';
import { makeKey, openDriver, openQueue, signatures, signRequest } from './support/queue.ts';
import { until } from './support/until.ts';

/** What a driver waits for, it gets with the insert: no query looks for it. */
const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const key = await makeKey(queue);

t.test('a request that a driver waits for is in the table as leased from the beginning', async (t) => {
  const driver = openDriver(queue, 'node-a');
  // Whether the call waits already, or still has its first look at the queue, cannot be seen from outside: it is given
  // ever more time.
  let trips = 0;
  await until('a request is inserted as leased', async () => {
    const waiting = driver.lease(5, 30_000);
    for (let trip = 0; trip < trips; trip += 1) await queue.pool.query('select 1');
    trips += 1;
    const request = signRequest(key.id);
    const { row } = await queue.application.submit(request);
    const leased = await waiting;
    t.match(leased, [{ id: request.id, attempt: 1, digests: [request.digests?.[0]?.toString('hex')], lookUp: false }]);
    const { rows } = await queue.pool.query('select instance, lease, deliveries from request where id = $1', [row.id]);
    t.match(rows, [{ instance: driver.instance, lease: leased[0]?.lease, deliveries: 1 }]);
    for (const one of leased) t.equal(await driver.report(one, signatures(key.publicKey)), 'accepted');
    return row.state === 'leased';
  });
  await driver.release();
});

t.test('a driver that comes back for more gets with the insert what arrived meanwhile', async (t) => {
  const driver = openDriver(queue, 'node-a');
  await until('a request waited for the driver', async () => {
    const first = signRequest(key.id);
    const [waiting] = [driver.lease(5, 30_000), await queue.application.submit(first)];
    const [given] = await waiting;
    const second = signRequest(key.id);
    const submitted = queue.application.submit(second);
    const leased = await driver.lease(5, 30_000, [first.id]);
    t.match(leased, [{ id: second.id, attempt: 1 }]);
    for (const one of [given, ...leased])
      t.equal(await driver.report(one ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
    return (await submitted).row.state === 'leased';
  });
  await driver.release();
});

t.test('a request is put into the queue when the driver does not come back', async (t) => {
  const driver = openDriver(queue, 'node-a');
  const first = signRequest(key.id);
  const waiting = driver.lease(5, 30_000);
  await queue.application.submit(first);
  const leased = [...(await waiting)];
  const second = signRequest(key.id);
  t.match(await queue.application.submit(second), { row: { state: 'queued' } });
  leased.push(...(await driver.lease(5, 30_000, [first.id])));
  t.same(
    leased.map(({ id }) => id),
    [first.id, second.id],
  );
  for (const one of leased) t.equal(await driver.report(one, signatures(key.publicKey)), 'accepted');
  await driver.release();
});

t.test('two drivers that wait share what arrives together', async (t) => {
  const drivers = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  let trips = 0;
  await until('both got their half', async () => {
    const waiting = drivers.map((driver) => driver.lease(8, 200));
    for (let trip = 0; trip < trips; trip += 1) await queue.pool.query('select 1');
    trips += 1;
    const requests = Array.from({ length: 6 }, () => signRequest(key.id));
    await Promise.all(requests.map((request) => queue.application.submit(request)));
    const shares = await Promise.all(waiting);
    for (const [at, driver] of drivers.entries())
      for (const one of shares[at] ?? []) t.equal(await driver.report(one, signatures(key.publicKey)), 'accepted');
    return shares.every((share) => share.length > 0);
  });
  for (const driver of drivers) await driver.release();
});

t.test('what is being handed to a call that ends goes back at the next call, and counts as no attempt', async (t) => {
  const node = { name: 'node-a', keyStore: 'test' };
  const instance = randomUUID();
  const { signal: never } = new AbortController();
  const call = (max: number, waitMs: number) => ({
    ...{ instance, slot: 'slot', capabilities: ['Sign:ECDSA/secp256k1'], max, holding: [], waitMs },
  });
  let trips = 0;
  await until('a call ended while it was handed something', async () => {
    const over = new AbortController();
    const ending = queue.driver.lease(node, call(5, 30_000), over.signal);
    for (let trip = 0; trip < trips; trip += 1) await queue.pool.query('select 1');
    trips += 1;
    const request = signRequest(key.id);
    const letGo = await holdInsert(
      t,
      queue.pool,
      signRequest(key.id, { userAction: request.userAction, externalId: request.id }),
    );
    const submitted = queue.application.submit(request);
    await until('the insert waits', async () => (await insertsWaiting(queue.pool)) === 1);
    over.abort();
    await letGo();
    await ending;
    await queue.driver.lease(node, call(0, 0), never);
    const { row } = await submitted;
    const { rows } = await queue.pool.query('select state, attempts from request where id = $1', [row.id]);
    t.match(rows, [{ state: 'queued', attempts: 0 }]);
    const next = openDriver(queue, 'node-b');
    const [leased] = await next.lease(1, 30_000);
    t.match(leased, { id: request.id, attempt: 1 });
    t.equal(await next.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
    await next.release();
    return row.state === 'leased';
  });
  await queue.driver.release(node, instance);
});

t.test('an instance that ended while its call waited is handed nothing', async (t) => {
  const driver = openDriver(queue, 'node-a');
  await driver.lease(1, 0);
  const seen = async () => {
    const text = 'select seen_at from driver_instance where id = $1';
    const { rows } = await queue.pool.query<{ seen_at: Date }>(text, [driver.instance]);
    return rows[0]?.seen_at.getTime() ?? 0;
  };
  const before = await seen();
  const waiting = driver.lease(5, 1_000);
  await until('the call has arrived', async () => (await seen()) > before);
  await queue.pool.query('update driver_instance set ended_at = now() where id = $1', [driver.instance]);
  const request = signRequest(key.id);
  t.match(await queue.application.submit(request), { row: { state: 'queued' }, fresh: true });
  t.match(await waiting, []);
  const next = openDriver(queue, 'node-b');
  const [leased] = await next.lease(1, 30_000);
  t.equal(await next.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
  await next.release();
});

t.test('a lease is renewed when it is some seconds old, and its row is left alone before', async (t) => {
  const driver = openDriver(queue, 'node-a');
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const leased = await driver.lease(1, 30_000);
  const row = async () =>
    (
      await queue.pool.query(
        "select xmin, lease_until > now() + interval '10 seconds' as long from request where id = $1",
        [request.id],
      )
    ).rows[0];
  const before = await row();
  await driver.lease(0, 0, [request.id]);
  t.strictSame(await row(), before);
  await queue.pool.query("update request set lease_until = now() + interval '9 seconds' where id = $1", [request.id]);
  // Not by a call that comes a moment after another one: the database is not asked then.
  await until('it is renewed', async () => {
    await driver.lease(0, 0, [request.id]);
    return (await row()).long;
  });
  for (const one of leased) t.equal(await driver.report(one, signatures(key.publicKey)), 'accepted');
  await driver.release();
});
