import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openDriver, openQueue, signatures, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const key = await makeKey(queue);

/** What a crash does to an asynchronous commit: the row is gone. Only the owner of the schema can delete one. */
async function swallow(id: string): Promise<void> {
  const pool = createPool(
    databases.api,
    { applicationName: 'crash', max: 1, durability: 'durable', role: 'owner' },
    createLog('error', {}),
  );
  await pool.query('delete from request where id = $1', [id]);
  await pool.end();
}

t.test('a row that a database crash swallowed is inserted again while its caller waits', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const held = queue.application.hold(request.id, 60_000);
  await swallow(request.id);
  const driver = openDriver(queue, 'node-a');
  const [leased] = await driver.lease(1, 30_000);
  t.equal(leased?.id, request.id);
  t.equal(await driver.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
  t.match(await held, { state: 'signed' });
});

t.test('a caller whose time is up while the database is away is told that its request is on its way', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  await databases.stop();
  t.match(await queue.application.hold(request.id, 10), { id: request.id, state: 'queued' });
  await databases.restart();
  const driver = openDriver(queue, 'node-a');
  let leased = await driver.lease(1, 5_000).catch(() => []);
  while (leased.length === 0) leased = await driver.lease(1, 5_000).catch(() => []);
  t.equal(await driver.report(leased[0] ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
  await driver.release();
});

t.test('a restart of the database loses no request and nobody has to do anything', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const held = queue.application.hold(request.id, 60_000);
  await databases.stop();
  await t.rejects(openDriver(queue, 'node-a').lease(1, 0));
  await databases.restart();
  const driver = openDriver(queue, 'node-a');
  let leased = await driver.lease(1, 5_000).catch(() => []);
  while (leased.length === 0) leased = await driver.lease(1, 5_000).catch(() => []);
  t.equal(leased[0]?.id, request.id);
  t.equal(await driver.report(leased[0] ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
  t.match(await held, { state: 'signed' });
});
