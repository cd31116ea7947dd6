import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import { startTimer } from './support/in-time.ts';
import { keyRequest, makeKey, openDriver, openQueue, secp256k1, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);

t.test('a process that stops still hands out what its own callers wait for, without waiting for more', async (t) => {
  const queue = await openQueue(t, databases.api);
  const key = await makeKey(queue);
  const driver = openDriver(queue, 'node-a');
  queue.driver.dismissDrivers();
  const request = signRequest(key.id);
  await queue.application.submit(request);
  t.match(await driver.lease(1, 30_000), [{ id: request.id }]);
  const taken = startTimer(t);
  t.strictSame(await driver.lease(1, 5_000, [request.id]), []);
  taken('answered at once', 4_000);
});

t.test('after an outage of the API the slots that were there before have a moment to come back', async (t) => {
  const before = await openQueue(t, databases.api);
  await openDriver(before, 'node-a').lease(1, 0);
  await before.pool.query("update driver_instance set seen_at = now() - interval '1 minute'");
  const after = await openQueue(t, databases.api);
  t.doesNotThrow(() => after.application.requireCapacity('test', 'Sign', secp256k1));
  t.doesNotThrow(() => after.application.requireCapacity('test', 'GenerateKey', keyRequest().type));

  await before.pool.query('update driver_instance set ended_at = now()');
  const later = await openQueue(t, databases.api);
  t.throws(() => later.application.requireCapacity('test', 'Sign', secp256k1), { code: 'NO_SIGNER_READY' });
});

t.test('a slot that ended a moment ago has a moment to be followed by another one', async (t) => {
  const before = await openQueue(t, databases.api);
  await before.pool.query('update driver_instance set ended_at = now()');
  const driver = openDriver(before, 'node-a');
  await driver.lease(1, 0);
  await driver.release();
  const after = await openQueue(t, databases.api);
  t.doesNotThrow(() => after.application.requireCapacity('test', 'Sign', secp256k1));

  await before.pool.query("update driver_instance set seen_at = now() - interval '11 seconds'");
  const later = await openQueue(t, databases.api);
  t.throws(() => later.application.requireCapacity('test', 'Sign', secp256k1), { code: 'NO_SIGNER_READY' });
});
