import { randomUUID } from 'node:crypto';
import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openDriver, openQueue, secp256k1, signatures, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api, 2_500);

t.test('without a capable slot a new request is refused and nothing is stored', async (t) => {
  t.throws(() => queue.application.requireCapacity('test', 'Sign', secp256k1), { code: 'NO_SIGNER_READY' });
  await openDriver(queue, 'node-a').lease(1, 0);
  t.doesNotThrow(() => queue.application.requireCapacity('test', 'Sign', secp256k1));
  t.throws(() => queue.application.requireCapacity('other', 'Sign', secp256k1), { code: 'NO_SIGNER_READY' });
});

t.test('a signature that nobody made in time has failed, and a late one is refused', async (t) => {
  const key = await makeKey(queue);
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  // On a slow machine it has expired before.
  const [leased] = await driver.lease(1, 0);
  t.match(await queue.application.hold(request.id, 60_000), { state: 'failed', errorCode: 'EXPIRED' });
  t.equal(
    await driver.report({ id: request.id, lease: leased?.lease ?? randomUUID() }, signatures(key.publicKey)),
    'conflict',
  );
});
