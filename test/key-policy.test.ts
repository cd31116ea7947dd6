import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import { makeCaller, type TestKey } from './support/caller.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { makeOperators } from './support/operators.ts';
import { pin } from './support/pinned.ts';
import { type Offer, openScriptedApi } from './support/scripted-api.ts';
import { keyStore, type SlotWorkerOptions, startSlotWorker } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** What a key may sign, and what a node does in each mode; one worker after the other on one database. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const operators = makeOperators(temporaryDirectory(t), ['alice'], 1);
const caller = makeCaller();
const stranger = makeCaller();

const ask = async (offer: Offer) => {
  api.offer(offer);
  return await api.outcome(offer.id);
};
const hash = (): SignatureBody => ({ kind: 'Hash', hash: randomBytes(32).toString('hex') });
const message = (): SignatureBody => ({ kind: 'Eip191', message: `0x${randomBytes(20).toString('hex')}` });
const made = async (offer: Offer): Promise<TestKey> => {
  const result = await ask(offer);
  if (result.kind !== 'PublicKey') throw new Error(JSON.stringify(result));
  return { id: offer.id, publicKey: result.publicKey };
};
const withWorker = async (t: Test, policy: SlotWorkerOptions['policy'] = {}) => {
  const worker = await startSlotWorker(t, {
    api,
    certificates,
    database: databases.driver,
    policy: { operators: operators.configuration, ...policy },
  });
  return worker;
};
const mode = (mode: 'off' | 'report' | 'enforce') => ({ authorisation: { mode, maxAgeMs: 900_000 } });
let free: TestKey;
let restricted: TestKey;

t.test('off: the API is believed, and a request without any authorisation is carried out', async (t) => {
  const worker = await withWorker(t, mode('off'));
  free = await made(caller.newKey());
  const { authorisation: _, ...bare } = stranger.sign(free, hash());
  t.match(await ask(bare), { kind: 'Signatures' });
  t.match(worker.report(), { policy: { mode: 'off' }, events: { authorisations_checked: 0 } });
  await worker.stop();
});

t.test('report: everything is carried out, and what would be refused is counted and told', async (t) => {
  const worker = await withWorker(t, mode('report'));
  await pin(worker.pool, operators, keyStore, { version: 1, credentials: [caller.listed] });
  await until('the list is in force', () => worker.report().policy?.credentialList?.version === 1);
  t.match(await ask(caller.sign(free, hash())), { kind: 'Signatures' });
  t.match(worker.report().events, { authorisations_checked: 1, authorisations_refused: 0 });
  t.match(await ask(stranger.sign(free, hash())), { kind: 'Signatures' });
  const offer = caller.sign(free, hash());
  t.match(await ask({ ...offer, digests: [randomBytes(32).toString('hex')] }), { kind: 'Signatures' });
  t.match(await ask(stranger.newKey()), { kind: 'PublicKey' });
  t.match(worker.report().events, { authorisations_checked: 4, authorisations_refused: 3 });
  t.ok(worker.log.some(({ msg, code }) => msg === 'would be refused' && code === 'CREDENTIAL_NOT_PINNED'));
  await worker.stop();
});

for (const one of ['off', 'enforce'] as const)
  t.test(`${one}: a key store without Hash signs what can be read, and its keys carry that`, async (t) => {
    const worker = await withWorker(t, { ...mode(one), allowedKinds: ['Eip191', 'Transaction'] });
    restricted = await made(caller.newKey());
    for (const key of [free, restricted]) {
      t.match(await ask(caller.sign(key, message())), { kind: 'Signatures' });
      t.match(await ask(caller.sign(key, hash())), { code: 'KIND_NOT_ALLOWED', message: /Hash, by the key store’s/ });
    }
    // A digest of the API's own under a harmless body.
    const offer = caller.sign(restricted, message());
    const swapped = { ...offer, digests: [randomBytes(32).toString('hex')] };
    t.match(await ask(swapped), { code: 'AUTHORISATION_REFUSED', message: /digests are not those/ });
    t.equal(worker.report().events.authorisations_refused, 1, 'an alarm; a kind that is not allowed is none');
    const { authorisation: _, ...bare } = caller.sign(restricted, message());
    t.match(await ask(bare), { code: 'AUTHORISATION_REFUSED', message: /carries no authorisation/ });
    await worker.stop();
  });

t.test('a key request that names no key store is the primary one’s, and is made in no other', async (t) => {
  const elsewhere = await withWorker(t, { authorisation: { mode: 'enforce', primary: false } });
  const offer = caller.newKey();
  t.match(await ask(offer), { code: 'AUTHORISATION_REFUSED', message: /for the primary key store, and this one is/ });
  await elsewhere.stop();
});

t.test('a key that was made so stays so when the key store allows more', async (t) => {
  const worker = await withWorker(t, mode('off'));
  t.match(await ask(caller.sign(restricted, hash())), { code: 'KIND_NOT_ALLOWED', message: /Hash, by key key-/ });
  t.match(await ask(caller.sign(restricted, message())), { kind: 'Signatures' });
  t.match(await ask(caller.sign(free, hash())), { kind: 'Signatures' });
  await worker.stop();
});

t.test('a writer in the database cannot give it more kinds: the tag covers them', async (t) => {
  await databases.driverAsOwner("update wrapped_key set allowed_kinds = '{}' where key_id = $1", [restricted.id]);
  const worker = await withWorker(t, mode('off'));
  t.match(await ask(caller.sign(restricted, hash())), { code: 'KEY_UNUSABLE', message: /tag/ });
  await worker.stop();
});
