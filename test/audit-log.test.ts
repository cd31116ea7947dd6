import { createHash } from 'node:crypto';
import t from 'tap';
import { openAuditLog } from '../src/shared/audit/open-log.ts';
import { chainFaults, readChain } from './support/audit-chain.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { keyOffer, makeKey, type SlotWorker, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { failure } from './support/software-hsm.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };

const eventsOf = async (worker: SlotWorker) =>
  (await readChain(worker.pool, worker.instance)).map(({ event }) => event);

t.test('each key and each signature has an entry that is bound to what it was made of', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  api.offer(offer);
  const result = await api.outcome(offer.id);
  if (result.kind !== 'Signatures') throw new Error(JSON.stringify(result));
  const { rows } = await worker.pool.query('select payload_digest from journal where request_id = $1', [offer.id]);
  const entries = await readChain(worker.pool, worker.instance);
  t.strictSame(chainFaults(entries), []);
  const stamp = { version: 'test', token: 'serial-test' };
  t.match(
    entries.map(({ event }) => event).filter(({ kind }) => kind !== 'head-signed'),
    [
      { kind: 'opened', chain: worker.instance, program: 'worker', keyStore: 'test', slot: 'slot-node-1', ...stamp },
      { kind: 'key-generated', keyId: key.id, publicKey: key.publicKey, masterKeyId: 'mk-test', ...stamp },
      {
        kind: 'signed',
        requestId: offer.id,
        keyId: key.id,
        payload: rows[0].payload_digest.toString('base64url'),
        signatures: createHash('sha256')
          .update(Buffer.from(result.signatures[0]?.rs ?? '', 'hex'))
          .digest('base64url'),
        masterKeyId: 'mk-test',
        ...stamp,
      },
    ],
  );
  await worker.stop();
});

t.test('a signature that lost against the journal is in the chain, and then discarded, without a gap', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const offer = signOffer(key.id);
  api.offer(offer);
  await api.outcome(offer.id);
  api.redeliver(offer.id, { lookUp: false });
  await until('second outcome', () => api.outcomes.get(offer.id)?.length === 2);
  const wrong = signOffer(key.id);
  worker.hsm.failures.set(wrong.id, failure('healthy', 'SIGNATURE_INVALID'));
  api.offer(wrong);
  await api.outcome(wrong.id);
  const after = signOffer(key.id);
  api.offer(after);
  await api.outcome(after.id);
  const events = await until('all entries', async () => {
    const found = (await eventsOf(worker)).filter(({ kind }) => kind === 'signed' || kind === 'discarded');
    return found.length === 5 && found;
  });
  t.match(events, [
    { kind: 'signed', requestId: offer.id },
    { kind: 'signed', requestId: offer.id },
    { kind: 'discarded', requestId: offer.id, keyId: key.id, reason: 'journal had another signature' },
    { kind: 'discarded', requestId: wrong.id, keyId: key.id, reason: 'did not verify' },
    { kind: 'signed', requestId: after.id },
  ]);
  t.not(events[0]?.signatures, events[1]?.signatures);
  t.strictSame(chainFaults(await readChain(worker.pool, worker.instance)), []);
  await worker.stop();
});

t.test('entries that the database refuses leave no gap, and harm no neighbour', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const gate = Promise.withResolvers<void>();
  worker.hsm.gate = gate.promise;
  const poison = keyOffer('key-\u0000-made');
  const offers = [signOffer(key.id), poison, signOffer(key.id), keyOffer()];
  for (const offer of offers) api.offer(offer);
  await until('held', () => offers.every(({ id }) => api.leaseCalls.at(-1)?.holding.includes(id)));
  gate.resolve();
  const results = await Promise.all(offers.map(({ id }) => api.outcome(id)));
  t.match(results, [{ kind: 'Signatures' }, { code: 'INTERNAL' }, { kind: 'Signatures' }, { kind: 'PublicKey' }]);
  t.strictSame(chainFaults(await readChain(worker.pool, worker.instance)), []);
  await worker.stop();
});

t.test('a database that is lost under several batches leaves a chain that only goes on', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const gate = Promise.withResolvers<void>();
  worker.hsm.gate = gate.promise;
  const offers = Array.from({ length: 12 }, () => signOffer(key.id));
  for (const offer of offers) {
    api.offer(offer);
    await until('held', () => api.leaseCalls.at(-1)?.holding.includes(offer.id));
  }
  await databases.stop();
  gate.resolve();
  await until('lost', () => worker.log.some(({ msg }) => msg === 'database lost; polling stops until it answers'));
  await databases.restart();
  for (const { id } of offers) t.match(await api.outcome(id, 40_000), { kind: 'Signatures' });
  const entries = await readChain(worker.pool, worker.instance);
  t.strictSame(chainFaults(entries), []);
  const signed = entries.filter(({ event }) => event.kind === 'signed').map(({ event }) => event.requestId);
  t.strictSame(signed.toSorted(), offers.map(({ id }) => id).toSorted(), 'each was told once');
  await worker.stop();
});

t.test('a command has a chain of its own', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const audit = openAuditLog(worker.pool, { program: 'command', command: 'pin clear', keyStore: 'test' });
  await audit.append({ kind: 'pin-cleared', guardGroup: 'serial', node: 'node-1', slot: 'a' });
  await audit.append({ kind: 'closed' });
  const entries = await readChain(worker.pool, audit.id);
  t.strictSame(chainFaults(entries), []);
  t.match(
    entries.map(({ event }) => event),
    [{ kind: 'opened', command: 'pin clear' }, { kind: 'pin-cleared' }, { kind: 'closed' }],
  );
  await worker.stop();
});

t.test('the runtime role can neither change nor remove an entry', async (t) => {
  const worker = await startSlotWorker(t, parts);
  for (const statement of [
    "update audit_entry set entry = '{}'",
    'update audit_entry set sequence = sequence + 1',
    'delete from audit_entry',
    'truncate audit_entry',
    'drop table audit_entry',
    'alter table audit_entry disable trigger all',
  ])
    await t.rejects(worker.pool.query(statement), { code: '42501' }, statement);
  await worker.stop();
});
