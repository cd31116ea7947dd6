import t from 'tap';
import { maxAttempts } from '../src/api/queue/expiry.ts';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openDriver, openQueue, signatures, signRequest } from './support/queue.ts';
import { until } from './support/until.ts';

/** A key of which each request ends the workers that get it must not take all other keys along. */
const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const elsewhere = await openQueue(t, databases.api);

const isRefused = (at: typeof queue, keyId: string): boolean => {
  try {
    at.application.requireRested(keyId);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === 'KEY_RESTS';
  }
};

/** Whoever gets it ends, until it has failed. */
async function endWorkersWith(id: string, afterTheFirst: () => Promise<unknown> = async () => {}): Promise<void> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const driver = openDriver(queue, `node-${attempt % 2}`);
    const leased = await driver.lease(1, 30_000);
    t.match(leased, [{ id, attempt }]);
    await driver.release();
    if (attempt === 1) await afterTheFirst();
  }
}

async function rest(keyId: string): Promise<{ rest_ms: number; rests: boolean } | undefined> {
  const { rows } = await queue.pool.query(
    'select rest_ms, rests_until > now() as rests from resting_key where key_id = $1',
    [keyId],
  );
  return rows[0];
}

const passes = (keyId: string, time: string) =>
  queue.pool.query('update resting_key set rests_until = rests_until - $2::interval where key_id = $1', [keyId, time]);

t.test('it rests, at each process of the API; what waits for it fails; other keys go on', async (t) => {
  const [key, other] = [await makeKey(queue), await makeKey(queue)];
  const poison = signRequest(key.id);
  await queue.application.submit(poison);
  const [sibling, late] = [signRequest(key.id), signRequest(key.id)];
  await endWorkersWith(poison.id, () => queue.application.submit(sibling));
  // Let in by a process that did not know yet.
  await elsewhere.application.submit(late);
  t.match(await queue.application.hold(poison.id, 60_000), { state: 'failed', errorCode: 'ATTEMPTS_EXHAUSTED' });
  for (const { id } of [sibling, late])
    t.match(await queue.application.hold(id, 60_000), {
      state: 'failed',
      errorCode: 'ATTEMPTS_EXHAUSTED',
      errorMessage: /another request for its key/,
    });
  t.ok(isRefused(queue, key.id), 'at once where it was found');
  await until('the other process knows', () => isRefused(elsewhere, key.id));
  t.notOk(isRefused(queue, other.id));
  const fine = signRequest(other.id);
  await queue.application.submit(fine);
  const driver = openDriver(queue, 'node-1');
  const [leased] = await driver.lease(1, 30_000);
  t.match(leased, { id: fine.id });
  if (leased !== undefined) await driver.report(leased, signatures(other.publicKey));
  t.match(await queue.application.hold(fine.id, 60_000), { state: 'signed' });
  await driver.release();
});

t.test('it is tried again after its rest, and rests twice as long where it has not changed', async (t) => {
  const key = await makeKey(queue);
  const again = async (): Promise<number | undefined> => {
    const request = signRequest(key.id);
    await queue.application.submit(request);
    await endWorkersWith(request.id);
    t.ok(isRefused(queue, key.id));
    return (await rest(key.id))?.rest_ms;
  };
  t.equal(await again(), 120_000);
  await passes(key.id, '3 minutes');
  await until('it has rested', () => !isRefused(queue, key.id));
  t.equal(await again(), 240_000);
  await passes(key.id, '50 minutes');
  t.equal(await again(), 480_000);
  await queue.pool.query('update resting_key set rest_ms = 2400000 where key_id = $1', [key.id]);
  await passes(key.id, '50 minutes');
  t.equal(await again(), 3_600_000, 'never longer than an hour');
  await passes(key.id, '3 hours');
  t.equal(await again(), 120_000, 'an hour without trouble: as at first');
});

t.test('while it rests, what fails of it makes no rest longer', async (t) => {
  const key = await makeKey(queue);
  const requests = [signRequest(key.id), signRequest(key.id)];
  for (const request of requests) await queue.application.submit(request);
  for (let left = maxAttempts; left > 0; left--) {
    // Both at once, whatever the queue would give together.
    const driver = openDriver(queue, 'node-1');
    await queue.pool.query('update request set attempts = $2 where id = any($1) and state = $3', [
      requests.map(({ id }) => id),
      maxAttempts - left,
      'queued',
    ]);
    const held: string[] = [];
    while (held.length < 2) held.push(...(await driver.lease(2, 30_000, held)).map(({ id }) => id));
    await driver.release();
  }
  for (const { id } of requests) t.match(await queue.application.hold(id, 60_000), { errorCode: 'ATTEMPTS_EXHAUSTED' });
  t.match(await rest(key.id), { rest_ms: 120_000, rests: true });
});
