import t from 'tap';
import { createDatabaseWatch } from '../src/api/queue/upkeep.ts';
import { createWaitingDrivers, waitForWork } from '../src/api/queue/waiting-drivers.ts';
import { createLog } from '../src/shared/log.ts';

/** The API's database goes silent, and comes back: what a process must forget, and what it must not yet conclude. */

t.test('a call whose time was over when its query failed is given nothing when the database is back', async (t) => {
  const failures: unknown[] = [];
  const drivers = createWaitingDrivers(
    () => {},
    (error) => failures.push(error),
  );
  const asks = { instance: 'instance', capabilities: ['Sign:ECDSA/secp256k1'], max: 8, keyStore: 'test' };
  const over = new AbortController();
  const query = Promise.withResolvers<never>();
  let queries = 0;
  const answer = waitForWork(drivers, asks, over.signal, 60_000, () => {
    queries += 1;
    return query.promise;
  });
  t.equal(queries, 1);
  over.abort();
  query.reject(new Error('timeout'));
  t.strictSame(await answer, []);
  t.match(failures, [{ message: 'timeout' }]);
  drivers.work();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(queries, 1, 'nobody would hear what it took');
});

t.test('leases are not ended before three seconds after a lost database answers again', async (t) => {
  let now = 0;
  const watch = createDatabaseWatch(createLog('silent', {}), () => now);
  const lost = Object.assign(new Error('timeout'), { code: 'ECONNREFUSED' });
  now = 10_000;
  t.ok(watch.settled());
  watch.failed(lost);
  now = 14_000;
  t.notOk(watch.settled(), 'the last failure is long ago, and it has not answered');
  watch.answered();
  t.notOk(watch.settled());
  now = 16_999;
  t.notOk(watch.settled(), 'drivers come back in their own time');
  now = 17_000;
  watch.answered();
  t.ok(watch.settled());
  watch.failed(new Error('a constraint'));
  t.notOk(watch.settled());
  now = 20_000;
  t.ok(watch.settled(), 'which was an answer');
});
