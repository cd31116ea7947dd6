import t from 'tap';
import { maxRepeatedFaults } from '../src/api/queue/finish-requests.ts';
import type { NewRequest } from '../src/api/queue/request.ts';
import type { OutcomeResult } from '../src/shared/driver-protocol.ts';
import { openTestDatabases } from './support/database.ts';
import { keyRequest, makeKey, openDriver, openQueue, organisation, signatures, signRequest } from './support/queue.ts';

/** What a slot cannot do goes to another one. Requests that no slot can do must not go round for ever, nor fast. */
const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const key = await makeKey(queue);

type Driver = ReturnType<typeof openDriver>;
const retryable = (code: string) => ({ kind: 'Error', code, message: `${code} it was`, retryable: true }) as const;

t.beforeEach(() => queue.pool.query('update driver_instance set ended_at = now() where ended_at is null'));

/** The request comes to this driver, which answers so. */
async function handsBack(driver: Driver, request: NewRequest, result: OutcomeResult): Promise<void> {
  const [leased] = await driver.lease(1, 5_000);
  if (leased?.id !== request.id) throw new Error('another request, or none');
  await driver.report(leased, result);
}

/** The rest that a request has is over: by the database’s clock, which nobody here waits for. */
const endRest = (request: NewRequest) =>
  queue.pool.query('update request set rests_until = now() where id = $1 and rests_until > now()', [request.id]);
const isAtRest = async (request: NewRequest): Promise<boolean> =>
  (await queue.pool.query('select 1 from request where id = $1 and rests_until > now()', [request.id])).rowCount === 1;

/** Two slots hand it back in turn until it has ended. @returns how often they were given it. */
async function circle(request: NewRequest, drivers: readonly [Driver, Driver], result: OutcomeResult): Promise<number> {
  for (let times = 0; times < 40; times += 1) {
    const row = await queue.application.find(organisation, request.id);
    if (row?.state !== 'queued') return times;
    await endRest(request);
    await handsBack(drivers[times % 2] as Driver, request, result);
  }
  return Number.POSITIVE_INFINITY;
}

t.test('a request at which every slot fails, though its HSM is sound, has failed after some rounds', async (t) => {
  const request = signRequest(key.id);
  const drivers = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')] as const;
  for (const driver of drivers) await driver.lease(1, 0);
  await queue.application.submit(request);
  t.equal(await circle(request, drivers, retryable('HSM_DEVICE_FAULT')), 2 + maxRepeatedFaults);
  t.match(await queue.application.hold(request.id, 10_000), {
    state: 'failed',
    errorCode: 'ATTEMPTS_EXHAUSTED',
    errorMessage: `slots failed at it ${2 + maxRepeatedFaults} times, at last: HSM_DEVICE_FAULT: HSM_DEVICE_FAULT it was`,
  });
});

t.test('what all have handed back rests before one of them gets it again; a new slot gets it at once', async (t) => {
  const request = signRequest(key.id);
  const [one, other] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  for (const driver of [one, other]) await driver.lease(1, 0);
  await queue.application.submit(request);
  for (const driver of [one, other]) await handsBack(driver, request, retryable('CURVE_NOT_SUPPORTED'));
  t.notOk(await isAtRest(request), 'each may fail once');
  await handsBack(one, request, retryable('CURVE_NOT_SUPPORTED'));
  // Longer than this test could take: it is the rule that is looked at, not the clock.
  await queue.pool.query("update request set rests_until = rests_until + interval '1 hour' where id = $1", [
    request.id,
  ]);
  t.same(await one.lease(1, 0), []);
  t.same(await other.lease(1, 0), []);
  const [leased] = await openDriver(queue, 'node-c').lease(1, 5_000);
  t.equal(leased?.id, request.id);
});

t.test('slots that all hang on one HSM, away for a moment, do not use a request up while it is', async (t) => {
  const request = signRequest(key.id);
  const slots = ['a', 'b', 'c', 'd', 'e'].map((name) => openDriver(queue, `node-${name}`));
  for (const driver of slots) await driver.lease(1, 0);
  await queue.application.submit(request);
  const [first, second, third, fourth, fifth] = slots as [Driver, Driver, Driver, Driver, Driver];
  await handsBack(first, request, retryable('HSM_DEVICE_FAULT'));
  t.notOk(await isAtRest(request), 'the first failover is at once');
  await handsBack(second, request, retryable('HSM_DEVICE_FAULT'));
  for (const failing of [third, fourth]) {
    t.ok(await isAtRest(request), 'two that say no may be one that is away');
    // Longer than this test could take: it is the rule that is looked at, not the clock.
    await queue.pool.query("update request set rests_until = rests_until + interval '1 hour' where id = $1", [
      request.id,
    ]);
    t.strictSame(await failing.lease(1, 0), [], 'whoever asks');
    await endRest(request);
    await handsBack(failing, request, retryable('HSM_DEVICE_FAULT'));
  }
  t.match(await queue.application.find(organisation, request.id), { state: 'queued' });
  await endRest(request);
  const [leased] = await fifth.lease(1, 5_000);
  t.equal(await fifth.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
});

t.test('a slot whose worker was replaced is no other slot', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  for (let worker = 0; worker < 7; worker += 1) {
    const driver = openDriver(queue, 'node-a');
    await handsBack(driver, request, retryable('HSM_DEVICE_FAULT'));
    await driver.release();
  }
  const { rows } = await queue.pool.query('select state, attempts, repeated_faults from request where id = $1', [
    request.id,
  ]);
  t.strictSame(rows, [{ state: 'queued', attempts: 1, repeated_faults: 6 }]);
  const mended = openDriver(queue, 'node-a');
  const [leased] = await mended.lease(1, 5_000);
  t.equal(await mended.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
});

t.test('a signature whose key only an absent slot holds waits for that slot as long as it may live', async (t) => {
  const request = signRequest(key.id);
  const drivers = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')] as const;
  for (const driver of drivers) await driver.lease(1, 0);
  await queue.application.submit(request);
  t.equal(await circle(request, drivers, retryable('KEY_NOT_ON_SLOT')), Number.POSITIVE_INFINITY);
  t.ok(await isAtRest(request), 'and is not handed round in a busy loop');
  const back = openDriver(queue, 'node-c');
  const [leased] = await back.lease(1, 5_000);
  t.equal(await back.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
});

t.test('a key request, which never expires, fails in the end whatever the slots say', async (t) => {
  const request = keyRequest();
  const drivers = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')] as const;
  for (const driver of drivers) await driver.lease(1, 0);
  await queue.application.submit(request);
  t.equal(await circle(request, drivers, retryable('CURVE_NOT_SUPPORTED')), 2 + maxRepeatedFaults);
  t.match(await queue.application.hold(request.id, 10_000), { state: 'failed', errorCode: 'ATTEMPTS_EXHAUSTED' });
});
