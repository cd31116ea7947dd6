import type pg from 'pg';
import t, { type Test } from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import type { DriverDatabase } from '../src/worker/database.ts';
import { signatureHolds } from '../src/worker/hsm/verify.ts';
import { type StoredKey, selectKeysByKeyId } from '../src/worker/key-rows.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { keyOffer, makeKey, secp256k1, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };
const worker = await startSlotWorker(t, parts);
const { pool } = worker;

function journalRow(id: string) {
  return pool
    .query('select key_id, signatures, recids, slot, instance from journal where request_id = $1', [id])
    .then((r) => r.rows[0]);
}

t.test('a key is stored before it is told, and told with its attestation', async (t) => {
  const offer = keyOffer();
  api.offer(offer);
  const result = await api.outcome(offer.id);
  const { rows } = await pool.query(
    'select public_key, attestation, organisation, tag from wrapped_key where request_id = $1',
    [offer.id],
  );
  t.match(result, { kind: 'PublicKey', publicKey: rows[0].public_key.toString('hex') });
  t.match(result, { attestation: rows[0].attestation.toString('base64url') });
});

t.test('a second delivery of a key request answers the same key', async (t) => {
  const offer = keyOffer();
  api.offer(offer);
  const first = await api.outcome(offer.id);
  const before = worker.hsm.generated;
  api.redeliver(offer.id);
  await until('second outcome', () => api.outcomes.get(offer.id)?.length === 2);
  t.strictSame(await api.outcome(offer.id), first);
  t.equal(worker.hsm.generated, before, 'no key was made for it');
});

t.test('a row that was re-wrapped since it was read is read again when the old master key is gone', async (t) => {
  const key = await makeKey(api);
  const first = signOffer(key.id);
  api.offer(first);
  t.match(await api.outcome(first.id), { kind: 'Signatures' });
  worker.hsm.lacking.add('mk-test');
  t.teardown(() => worker.hsm.lacking.clear());
  const refused = signOffer(key.id);
  api.offer(refused);
  t.match(await api.outcome(refused.id), { kind: 'Error', code: 'KEY_NOT_ON_SLOT', retryable: true });

  const stored = await storedKey(pool, key.id);
  const rewrapped = { ...stored.key, masterKeyId: 'mk-new' };
  await databases.driverAsOwner('update wrapped_key set master_key_id = $2, tag = $3 where key_id = $1', [
    key.id,
    rewrapped.masterKeyId,
    worker.hsm.tag(rewrapped),
  ]);
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures', publicKey: key.publicKey });
  const { rows } = await pool.query('select master_key_id from journal where request_id = $1', [offer.id]);
  t.same(rows, [{ master_key_id: 'mk-new' }]);
});

t.test('a signature verifies, comes with its key and stands in the journal', async (t) => {
  const key = await makeKey(api);
  const offer = signOffer(key.id, {
    digests: [Buffer.alloc(32, 7).toString('hex'), Buffer.alloc(32, 8).toString('hex')],
  });
  api.offer(offer);
  const result = await api.outcome(offer.id);
  if (result.kind !== 'Signatures') throw new Error(JSON.stringify(result));
  t.equal(result.publicKey, key.publicKey);
  t.equal(result.signatures.length, 2);
  for (const [at, signature] of result.signatures.entries()) {
    t.ok(signatureHolds(secp256k1, key.publicKey, Buffer.from(offer.digests[at] as string, 'hex'), signature));
  }
  const row = await journalRow(offer.id);
  t.match(row, { key_id: key.id, slot: 'slot-node-1', instance: worker.instance });
  t.strictSame(
    row.signatures.map((one: Buffer) => one.toString('hex')),
    result.signatures.map((one) => one.rs),
  );
  t.strictSame(
    row.recids,
    result.signatures.map((one) => one.recid),
  );
});

for (const lookUp of [true, false]) {
  t.test(`a second delivery returns the stored signature (lookUp ${lookUp})`, async (t) => {
    const key = await makeKey(api);
    const offer = signOffer(key.id);
    api.offer(offer);
    const first = await api.outcome(offer.id);
    api.redeliver(offer.id, { lookUp });
    await until('second outcome', () => api.outcomes.get(offer.id)?.length === 2);
    t.strictSame(await api.outcome(offer.id), first);
    const { rows } = await pool.query('select reason from discarded_signature where request_id = $1', [offer.id]);
    t.strictSame(rows, lookUp ? [] : [{ reason: 'journal had another signature' }]);
  });

  t.test(`the same id with another digest is refused (lookUp ${lookUp})`, async (t) => {
    const key = await makeKey(api);
    const offer = signOffer(key.id);
    api.offer(offer);
    await api.outcome(offer.id);
    api.redeliver(offer.id, { lookUp, digests: [Buffer.alloc(32, 9).toString('hex')] });
    await until('second outcome', () => api.outcomes.get(offer.id)?.length === 2);
    t.match(await api.outcome(offer.id), { kind: 'Error', code: 'REQUEST_CONFLICT', retryable: false });
    const { rows } = await pool.query('select reason from discarded_signature where request_id = $1', [offer.id]);
    t.strictSame(rows, lookUp ? [] : [{ reason: 'journal had another payload' }]);
  });
}

t.test('each reason to refuse a request is told, and none of them harms a neighbour', async (t) => {
  const key = await makeKey(api);
  const changed = await makeKey(api);
  const broken = await makeKey(api);
  const owner = await ownerPool(t);
  await owner.query("update wrapped_key set organisation = 'or-thief' where key_id = $1", [changed.id]);
  await markBroken(owner, broken.id);
  const fresh = await startSlotWorker(t, { ...parts, node: 'node-2' });
  await worker.stop();
  const offers = {
    good: signOffer(key.id),
    unknown: signOffer('key-unknown'),
    changed: signOffer(changed.id),
    broken: signOffer(broken.id),
    foreign: signOffer(key.id, { organisation: 'or-other' }),
    otherCurve: signOffer(key.id, { type: { scheme: 'EdDSA', curve: 'ed25519' } }),
    shortDigest: signOffer(key.id, { digests: ['abcd'] }),
    // PostgreSQL refuses this text, and with it every statement that carries it.
    poison: signOffer('key-\u0000'),
    poisonKey: keyOffer('key-\u0000-made'),
    good2: signOffer(key.id),
  };
  api.intercept = (path) => (path === '/driver/v1/lease' ? { status: 503, body: {} } : undefined);
  for (const offer of Object.values(offers)) api.offer(offer);
  api.intercept = undefined;
  const results = Object.fromEntries(
    await Promise.all(Object.entries(offers).map(async ([name, { id }]) => [name, await api.outcome(id)] as const)),
  );
  t.match(results, {
    good: { kind: 'Signatures' },
    good2: { kind: 'Signatures' },
    unknown: { code: 'KEY_NOT_IN_STORE', retryable: false },
    changed: { code: 'KEY_UNUSABLE', retryable: false },
    broken: { code: 'KEY_UNUSABLE', retryable: false },
    foreign: { code: 'KEY_NOT_IN_STORE', retryable: false },
    otherCurve: { code: 'CURVE_NOT_SUPPORTED', retryable: true },
    shortDigest: { code: 'DIGEST_INVALID', retryable: false },
    poison: { code: 'INTERNAL', retryable: false },
    poisonKey: { code: 'INTERNAL', retryable: false },
  });
  t.equal(fresh.fault, undefined);
  t.equal(fresh.state, 'ready');
});

t.test('a stored signature that was changed in the database is not released', async (t) => {
  const fresh = await startSlotWorker(t, { ...parts, node: 'node-2' });
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  api.offer(offer);
  await api.outcome(offer.id);
  const owner = await ownerPool(t);
  await owner.query('update journal set signatures = array[$2::bytea] where request_id = $1', [
    offer.id,
    Buffer.alloc(64, 3),
  ]);
  api.redeliver(offer.id, { lookUp: true });
  await until('second outcome', () => api.outcomes.get(offer.id)?.length === 2);
  t.match(await api.outcome(offer.id), { code: 'SIGNATURE_INVALID', retryable: false });
  await fresh.stop();
});

t.test('a delivered item that is not driver protocol v1 is answered alone', async (t) => {
  await startSlotWorker(t, { ...parts, node: 'node-2' });
  const key = await makeKey(api);
  const bad = signOffer(key.id, { digests: ['not hex'] });
  const good = signOffer(key.id);
  api.offer(bad);
  api.offer(good);
  t.match(await api.outcome(bad.id), { code: 'BAD_REQUEST', retryable: false });
  t.match(await api.outcome(good.id), { kind: 'Signatures' });
});

t.test('requests of one key in a batch share one unwrap', async (t) => {
  const alone = await startSlotWorker(t, { ...parts, node: 'node-2' });
  const key = await makeKey(api);
  const gate = Promise.withResolvers<void>();
  alone.hsm.gate = gate.promise;
  // Two batches are inside at a time: these fill them, the rest waits outside and leaves together.
  const first = [signOffer(key.id), signOffer(key.id)];
  for (const offer of first) {
    api.offer(offer);
    await until('held', () => api.leaseCalls.at(-1)?.holding.includes(offer.id));
  }
  const rest = Array.from({ length: 3 }, () => signOffer(key.id));
  for (const offer of rest) api.offer(offer);
  await until('all held', () => rest.every((offer) => api.leaseCalls.at(-1)?.holding.includes(offer.id)));
  alone.hsm.jobs.length = 0;
  gate.resolve();
  await Promise.all([...first, ...rest].map((offer) => api.outcome(offer.id)));
  t.ok(alone.hsm.jobs.length <= 4, `${alone.hsm.jobs.length} unwraps for 5 requests`);
  t.equal(alone.hsm.jobs.flatMap((job) => job.requests).length, 5);
});

/** The runtime role cannot change what these tests change. */
async function ownerPool(t: Test) {
  const options = { applicationName: 'owner', max: 1, durability: 'durable', role: 'owner' } as const;
  const owner = createPool(databases.driver, options, createLog('error', {}));
  t.teardown(() => owner.end());
  return owner;
}

/** Marks a key broken as the driver itself would: status and tag together. */
async function markBroken(owner: pg.Pool, keyId: string): Promise<void> {
  const stored = await storedKey(owner, keyId);
  const tag = worker.hsm.tag({ ...stored.key, status: 'broken' });
  await owner.query("update wrapped_key set status = 'broken', tag = $2 where key_id = $1", [keyId, tag]);
}

async function storedKey(pool: pg.Pool, keyId: string): Promise<StoredKey> {
  const database = {
    query: async (statement: { text: string }, values: unknown[]) => (await pool.query(statement.text, values)).rows,
  };
  const [stored] = await selectKeysByKeyId(database as unknown as DriverDatabase, [keyId]);
  if (stored === undefined) throw new Error(`no key ${keyId}`);
  return stored;
}
