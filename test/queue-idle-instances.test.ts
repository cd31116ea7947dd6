import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import {
  keyRequest,
  makeKey,
  notOpened,
  openDriver,
  openQueue,
  organisation,
  secp256k1,
  signatures,
  signRequest,
} from './support/queue.ts';

/**
 * A worker whose database or clock is away goes on calling, and asks for nothing: it lives, and nobody must wait for it. One
 * that has its hands full asks for nothing either.
 */
const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const key = await makeKey(queue);

t.beforeEach(() => queue.pool.query('update driver_instance set ended_at = now() where ended_at is null'));

type Driver = ReturnType<typeof openDriver>;

/** It calls and calls, and has taken nothing for minutes. */
async function ails(driver: Driver): Promise<void> {
  await driver.lease(0, 0);
  await queue.pool.query(
    `update driver_instance set takes_nothing_since = now() - interval '11 minutes', seen_at = now() + interval '1 hour'
     where id = $1`,
    [driver.instance],
  );
}

t.test('what a slot gave back comes to it again when the others that live take nothing', async (t) => {
  const [well, ill] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const request = signRequest(key.id);
  await well.lease(1, 0);
  await ill.lease(1, 0);
  await queue.application.submit(request);
  t.match(await well.lease(1, 10_000), [{ id: request.id }]);
  await well.lease(0, 0, []);
  t.strictSame(await well.lease(1, 0), [], 'while the other one takes work it is the other’s');
  await ails(ill);
  const [leased] = await well.lease(1, 10_000);
  t.match(leased, { id: request.id });
  t.equal(await well.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
});

t.test('one that takes nothing has no second opinion of a key either', async (t) => {
  const [well, ill] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const request = signRequest(key.id);
  await ill.lease(1, 0);
  await ails(ill);
  await queue.application.submit(request);
  const [leased] = await well.lease(1, 10_000);
  await well.report(leased ?? { id: '', lease: '' }, notOpened);
  t.match(await queue.application.find(organisation, request.id), { state: 'failed', errorCode: 'KEY_UNUSABLE' });
});

/** What a process of the API that starts now makes of what is in the database. */
const refusal = async (): Promise<unknown> => {
  const { application } = await openQueue(t, databases.api);
  try {
    application.requireCapacity('test', 'Sign', secp256k1);
    return undefined;
  } catch (error) {
    return error;
  }
};

t.test('for want of slots that take work new requests are refused, not before ten seconds have passed', async (t) => {
  await queue.pool.query("update driver_instance set seen_at = now() - interval '1 hour'");
  const driver = openDriver(queue, 'node-a');
  await driver.lease(0, 0);
  t.match(await refusal(), { code: 'NO_SIGNER_READY' }, 'it never took any');
  await driver.lease(1, 0);
  t.equal(await refusal(), undefined);
  await driver.lease(0, 0);
  t.equal(await refusal(), undefined, 'it may be well in a moment');
  await queue.pool.query(
    "update driver_instance set takes_nothing_since = now() - interval '11 minutes' where takes_nothing_since is not null",
  );
  await driver.lease(0, 0);
  t.match(await refusal(), { code: 'NO_SIGNER_READY' });

  const request = keyRequest();
  await queue.application.submit(request);
  t.match(await driver.lease(1, 10_000), [{ id: request.id }], 'it takes work again at once');
  await driver.lease(0, 0, [request.id]);
  t.equal(await refusal(), undefined, 'and has its hands full');
});
