import { randomBytes, randomUUID } from 'node:crypto';
import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import {
  attest,
  keyRequest,
  makeKey,
  notOpened,
  openDriver,
  openQueue,
  organisation,
  signatures,
  signRequest,
} from './support/queue.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const key = await makeKey(queue);

t.test(
  'the first success is accepted whatever its lease, the same again is a duplicate, another is a conflict',
  async (t) => {
    const request = signRequest(key.id);
    await queue.application.submit(request);
    const [first, second] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
    const [leased] = await first.lease(1, 10_000);
    await first.lease(0, 0); // The answer was lost: what it does not hold goes back.
    const [again] = await second.lease(1, 10_000);
    t.equal(again?.id, leased?.id);
    const result = signatures(key.publicKey);
    const late = { id: request.id, lease: leased?.lease ?? '' };
    t.equal(await first.report(late, result), 'accepted');
    t.equal(await second.report({ id: request.id, lease: again?.lease ?? '' }, result), 'duplicate');
    t.equal(await second.report({ id: request.id, lease: again?.lease ?? '' }, signatures(key.publicKey)), 'conflict');
    const row = await queue.application.find(organisation, request.id);
    t.match(row, { state: 'signed', signatures: result.signatures });
  },
);

t.test('signatures against another public key than the API knows are refused and the request goes on', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  const [leased] = await driver.lease(1, 10_000);
  t.equal(
    await driver.report(leased ?? { id: '', lease: '' }, signatures(`03${randomBytes(32).toString('hex')}`)),
    'conflict',
  );
  t.match(await queue.application.find(organisation, request.id), { state: 'leased' });
  t.equal(await driver.report(leased ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
});

t.test('a secp256k1 signature without its recid is refused, and the request goes on', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  const [leased] = await driver.lease(1, 10_000);
  const good = signatures(key.publicKey);
  const bare = { ...good, signatures: good.signatures.map(({ rs }) => ({ rs })) };
  t.equal(await driver.report(leased ?? { id: '', lease: '' }, bare), 'conflict');
  t.match(await queue.application.find(organisation, request.id), { state: 'leased' });
  t.equal(await driver.report(leased ?? { id: '', lease: '' }, good), 'accepted');
});

t.test('a public key without its HSM’s attestation is never stored', async (t) => {
  const request = keyRequest();
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  const [leased] = await driver.lease(1, 10_000);
  const lease = { id: request.id, lease: leased?.lease ?? '' };
  const publicKey = `02${randomBytes(32).toString('hex')}`;
  const thief = `02${randomBytes(32).toString('hex')}`;
  const attestation = attest({ organisation, keyId: request.id, requestId: request.id, publicKey });
  t.equal(await driver.report(lease, { kind: 'PublicKey', publicKey: thief, attestation }), 'conflict');
  const ofAnother = attest({ organisation: 'or-other', keyId: request.id, requestId: request.id, publicKey });
  t.equal(await driver.report(lease, { kind: 'PublicKey', publicKey, attestation: ofAnother }), 'conflict');
  const { rowCount } = await queue.pool.query('select 1 from key where id = $1', [request.id]);
  t.equal(rowCount, 0);
  t.equal(await driver.report(lease, { kind: 'PublicKey', publicKey, attestation }), 'accepted');
  t.equal(await driver.report(lease, { kind: 'PublicKey', publicKey: thief, attestation }), 'conflict');
});

t.test('errors count only with the live lease; an error for good is final', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  const [leased] = await driver.lease(1, 10_000);
  const error = { kind: 'Error', code: 'KEY_UNUSABLE', message: 'the blob does not open', retryable: false } as const;
  t.equal(await driver.report({ id: request.id, lease: randomUUID() }, error), 'unknown');
  t.equal(await driver.report({ id: request.id, lease: leased?.lease ?? '' }, error), 'accepted');
  t.match(await queue.application.hold(request.id, 10_000), { state: 'failed', errorCode: 'KEY_UNUSABLE' });
  t.equal(await driver.report({ id: request.id, lease: leased?.lease ?? '' }, signatures(key.publicKey)), 'conflict');
});

t.test(
  'device faults on distinct slots count as attempts, and the request goes to another instance first',
  async (t) => {
    const request = signRequest(key.id);
    await queue.application.submit(request);
    const [faulty, healthy] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
    const fault = { kind: 'Error', code: 'HSM_DEVICE_FAULT', message: 'CKR_DEVICE_ERROR', retryable: true } as const;
    const [leased] = await faulty.lease(1, 10_000);
    const other = healthy.lease(1, 5_000);
    t.equal(await faulty.report(leased ?? { id: '', lease: '' }, fault), 'accepted');
    t.match(await faulty.lease(1, 0), [], 'not again to the one that gave it back');
    t.match(await other, [{ id: request.id, attempt: 2 }]);
    t.equal(await healthy.report((await other)[0] ?? { id: '', lease: '' }, signatures(key.publicKey)), 'accepted');
  },
);

const nobody = { id: '', lease: '' };

t.test('a key that one slot does not open is tried alone at a second slot, whose success counts', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const [one, other] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const [leased] = await one.lease(1, 10_000);
  const second = other.lease(1, 5_000);
  t.equal(await one.report(leased ?? nobody, notOpened), 'accepted');
  t.match(await one.lease(1, 0), [], 'not again to the one that does not open it');
  t.match(await second, [{ id: request.id, attempt: 2 }]);
  t.equal(await other.report((await second)[0] ?? nobody, signatures(key.publicKey)), 'accepted');
  const row = await queue.application.find(organisation, request.id);
  t.match(row, { state: 'signed' });
  t.notOk(row?.errorCode);
});

t.test('when a second slot does not open it either, the request has failed for good', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const [one, other] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const [leased] = await one.lease(1, 10_000);
  const second = other.lease(1, 5_000);
  await one.report(leased ?? nobody, notOpened);
  t.equal(await other.report((await second)[0] ?? nobody, notOpened), 'accepted');
  const row = await queue.application.hold(request.id, 10_000);
  t.match(row, { state: 'failed', errorCode: 'KEY_UNUSABLE', errorMessage: 'the blob does not open' });
});

t.test('a second worker of the same slot is no second slot', async (t) => {
  const request = signRequest(key.id);
  await queue.application.submit(request);
  const [one, same, other] = [openDriver(queue, 'node-a'), openDriver(queue, 'node-a'), openDriver(queue, 'node-b')];
  const [leased] = await one.lease(1, 10_000);
  // The other slot lives, and finds nothing yet.
  t.strictSame(await Promise.all([same.lease(1, 0), other.lease(1, 0)]), [[], []]);
  await one.report(leased ?? nobody, notOpened);
  const [again] = await same.lease(1, 10_000);
  t.match(again, { id: request.id });
  t.strictSame(await other.lease(1, 0), []);
  await same.report(again ?? nobody, notOpened);
  t.match(await queue.application.find(organisation, request.id), { state: 'queued' });
  const [last] = await other.lease(1, 10_000);
  t.equal(await other.report(last ?? nobody, signatures(key.publicKey)), 'accepted');
});

t.test('where no other slot lives that can do it, the first word is the last', async (t) => {
  const request = signRequest(key.id);
  await queue.pool.query('update driver_instance set ended_at = now() where ended_at is null');
  await queue.application.submit(request);
  const one = openDriver(queue, 'node-a');
  const [leased] = await one.lease(1, 10_000);
  await one.report(leased ?? nobody, notOpened);
  t.match(await queue.application.hold(request.id, 10_000), { state: 'failed', errorCode: 'KEY_UNUSABLE' });
});

t.test('an outcome from an instance of another node is refused', async (t) => {
  const driver = openDriver(queue, 'node-a');
  await driver.lease(1, 0);
  const call = {
    instance: driver.instance,
    outcomes: [{ id: 'sig-x', lease: randomUUID(), result: signatures(key.publicKey) }],
  };
  await t.rejects(queue.driver.outcomes({ name: 'node-b', keyStore: 'test' }, call), {
    code: 'INSTANCE_OF_OTHER_NODE',
  });
});
