import t from 'tap';
import { isUnreachable } from '../src/shared/database/faults.ts';
import { openTestDatabases } from './support/database.ts';
import { keyRequest, makeKey, openDriver, openQueue, signRequest } from './support/queue.ts';
import { openTcpProxy } from './support/tcp-proxy.ts';
import { until } from './support/until.ts';

/** Packets to the API’s database vanish, as with a host that is powered off: nobody is told, and no statement fails by itself. */
const databases = await openTestDatabases(t);
const wire = await openTcpProxy(t, databases.api.port);
const queue = await openQueue(t, { ...databases.api, port: wire.port }, 300_000, 1_000);
const key = await makeKey(queue);
const unreachable = (error: unknown) => isUnreachable(error);

t.test('requests are refused, all that wait together, and those behind them wait no longer', async (t) => {
  await queue.application.submit(signRequest(key.id));
  wire.freeze();
  const submitted = Array.from({ length: 400 }, () => queue.application.submit(signRequest(key.id)));
  const ends: unknown[] = [];
  for (const one of submitted) one.catch((error: unknown) => ends.push(error));
  await t.rejects(Promise.all(submitted));
  await new Promise(setImmediate);
  t.equal(ends.length, 400, 'not batch after batch');
  t.ok(ends.every(unreachable));
});

t.test('of a key request that may have arrived it is not said that nothing was made', async (t) => {
  wire.cut();
  wire.thaw();
  await until('it answers again', async () => {
    const { fresh } = await queue.application.submit(signRequest(key.id)).catch(() => ({ fresh: false }));
    return fresh;
  });
  // The statement arrives, its answer does not.
  wire.mute();
  const request = keyRequest();
  await t.rejects(queue.application.submit(request), { code: 'KEY_BEING_MADE' });
  wire.cut();
  wire.thaw();
  t.match(await until('it is found', () => queue.application.find('or-test', request.id).catch(() => undefined)), {
    state: 'queued',
  });
});

t.test('and everything goes on by itself once it answers', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  const leased = await until('a driver is given it', async () => {
    const all = await driver.lease(64, 1_000).catch(() => []);
    return all.find(({ id }) => id === request.id);
  });
  t.match(leased, { kind: 'Sign' });
  await driver.release();
});
