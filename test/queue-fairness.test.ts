import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openDriver, openQueue, organisation, secp256k1, signRequest } from './support/queue.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const key = await makeKey(queue);

/** The same request, sent by another organisation. */
function from(other: string) {
  const request = signRequest(key.id);
  return { ...request, requester: { ...request.requester, organisation: other } };
}

t.before(async () => {
  for (const id of ['or-other', 'or-first']) {
    await queue.pool.query("insert into organisation (id, name) values ($1, 'Test')", [id]);
  }
});

/** Empties the queue the way drivers do, without outcomes. */
t.afterEach(async () => {
  await queue.pool.query(
    "update request set state = 'failed', lease = null, instance = null where state in ('queued', 'leased')",
  );
});

t.test('an organisation that sends many requests at once does not keep others waiting behind them', async (t) => {
  const crowd = Array.from({ length: 50 }, () => signRequest(key.id));
  await Promise.all(crowd.map((request) => queue.application.submit(request)));
  const single = from('or-other');
  await queue.application.submit(single);
  const driver = openDriver(queue, 'node-a');
  const order = (await Promise.all([driver.lease(10, 10_000)])).flat().map(({ id }) => id);
  t.ok(order.includes(single.id), 'it is among the first ten of 51');
  await driver.release();
});

t.test('an organisation with a higher priority goes first', async (t) => {
  const early = [signRequest(key.id), signRequest(key.id)];
  for (const request of early) await queue.application.submit(request);
  const first = from('or-first');
  await queue.application.submit(first);
  const driver = openDriver(queue, 'node-a');
  t.match(await driver.lease(1, 10_000), [{ id: first.id }]);
  await driver.release();
});

t.test('an organisation with too many open requests is refused and nothing is stored', async (t) => {
  for (let sent = 0; sent < 100; sent += 1) await queue.application.submit(signRequest(key.id)).catch(() => {});
  const refused = signRequest(key.id);
  await until('the limit is reached', () =>
    queue.application.submit(signRequest(key.id)).then(
      () => false,
      () => true,
    ),
  );
  await t.rejects(queue.application.submit(refused), { code: 'TOO_MANY_OPEN_REQUESTS' });
  t.equal(await queue.application.find(organisation, refused.id), undefined);
  await t.resolves(queue.application.submit(from('or-other')), 'others are not concerned');
});

t.test('a request that would wait longer than its caller is held is refused', async (t) => {
  await openDriver(queue, 'node-a').lease(1, 0);
  await queue.application.submit(from('or-other'));
  t.doesNotThrow(() => queue.application.requireCapacity('test', 'Sign', secp256k1));
  await databases.asOwner("update request set created_at = now() - interval '1 minute' where state = 'queued'");
  await until('the wait is seen', () => {
    try {
      queue.application.requireCapacity('test', 'Sign', secp256k1);
      return false;
    } catch {
      return true;
    }
  });
  t.throws(() => queue.application.requireCapacity('test', 'Sign', secp256k1), { code: 'NO_SIGNER_READY' });
  t.doesNotThrow(() => queue.application.requireCapacity('test', 'GenerateKey', secp256k1));
});
