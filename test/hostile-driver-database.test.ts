import { randomBytes, randomUUID } from 'node:crypto';
import t from 'tap';
import { aboutThaw, insertFreeze, insertThaw } from '../src/shared/freezes/freeze.ts';
import type { SignedOrder } from '../src/shared/orders/order.ts';
import { inForceHolds } from '../src/shared/orders/order-in-force.ts';
import { readChain } from './support/audit-chain.ts';
import { makeCaller, type TestKey } from './support/caller.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { makeOperators } from './support/operators.ts';
import { pin } from './support/pinned.ts';
import { type Offer, openScriptedApi } from './support/scripted-api.ts';
import { keyStore, type SlotWorkerOptions, startSlotWorker } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { createSoftwareHsm } from './support/software-hsm.ts';
import { until } from './support/until.ts';

/**
 * A writer in the driver database who has everything that operators ever signed: orders that were carried out, and
 * orders that nobody carried out in their time. Two nodes of one key store, and nodes that come later.
 */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const operators = makeOperators(temporaryDirectory(t), ['alice', 'bob', 'carol'], 2);
const hsm = createSoftwareHsm(keyStore);
const attested = (order: SignedOrder, one: string) => inForceHolds(hsm.attestationKey, keyStore, order.order, one);
const start = (node: string, stateDirectory: string, authorisation: Partial<{ leastListVersion: number }> = {}) => {
  const policy: SlotWorkerOptions['policy'] = {
    operators: operators.configuration,
    authorisation: { mode: 'enforce', ...authorisation },
    stateDirectory,
  };
  return startSlotWorker(t, { api, certificates, database: databases.driver, policy, node, hsm });
};
const state = temporaryDirectory(t);
let worker = await start('node-1', state);
const { pool } = worker;
const dayAgo = Date.now() - 86_400_000;

const caller = makeCaller();
const mallory = makeCaller();
const ask = async (offer: Offer) => {
  api.offer(offer);
  return await api.outcome(offer.id);
};
const signs = (by: typeof caller) => ask(by.sign(key, { kind: 'Hash', hash: randomBytes(32).toString('hex') }));
const inForce = (version: number, one = worker) =>
  until(`list ${version}`, () => one.report().policy?.credentialList?.version === version);
/** Bad rows are told once each. */
const refused = (what: 'thaw' | 'list of credentials', why: RegExp, one = worker) =>
  until(`${what}: ${why}`, () =>
    one.log.some(({ msg, cause }) => msg === `${what} is not good` && why.test(String(cause))),
  );
const attestations = async (order: SignedOrder): Promise<string[]> => {
  const { rows } = await worker.pool.query<{ attestation: string }>(
    'select attestation from order_in_force where order_id = $1',
    [order.order.id],
  );
  return rows.map(({ attestation }) => attestation);
};
const claim = (order: SignedOrder, attestation: string) =>
  databases.driverAsOwner('insert into order_in_force (order_id, attestation, instance) values ($1, $2, $3)', [
    order.order.id,
    attestation,
    randomUUID(),
  ]);
const freezeKey = async (): Promise<string> => {
  const id = randomUUID();
  await insertFreeze(worker.pool, { id, scope: 'key', subject: key.id, reason: 'x', node: 'x' });
  await until('it is frozen', () => worker.report().policy?.frozen.some((one) => one.id === id));
  return id;
};
const thaw = (id: string, order: SignedOrder) => insertThaw(worker.pool, id, { order, node: 'x' });

const first = await pin(pool, operators, keyStore, { version: 1, credentials: [caller.listed] });
await inForce(1);
const offer = caller.newKey();
const made = await ask(offer);
if (made.kind !== 'PublicKey') throw new Error(JSON.stringify(made));
const key: TestKey = { id: offer.id, publicKey: made.publicKey };

t.test('an order that a worker obeys in its time is attested by the HSM, and is in the audit log', async (t) => {
  const [one] = await until('its attestation', async () => {
    const found = await attestations(first);
    return found.length > 0 && found;
  });
  t.ok(attested(first, one ?? ''));
  t.notOk(attested(operators.order(keyStore, first.order.about), one ?? ''), 'this order and no other');
  const entries = await readChain(pool, worker.instance);
  const entry = entries.find(({ event }) => event.kind === 'order-in-force')?.event;
  t.match(entry, { orderId: first.order.id, action: /credentials of version 1/, operators: ['alice', 'bob'] });
});

t.test('an approved list that nobody installed in its time does not come in force', async (t) => {
  const late = await pin(pool, operators, keyStore, { version: 2, credentials: [mallory.listed], atMs: dayAgo });
  await refused('list of credentials', /it expired at .* clock says/);
  // Nor with the attestation of another order, nor with one of another key.
  const [one] = await attestations(first);
  await claim(late, one ?? '');
  const stranger = await createSoftwareHsm(keyStore).attestOrder(late.order);
  if (stranger.ok) await claim(late, stranger.value);
  await claim(late, 'nothing');
  t.match(await signs(mallory), { kind: 'Error', code: 'CREDENTIAL_NOT_PINNED' });
  t.match(await signs(caller), { kind: 'Signatures' });
  t.equal(worker.report().policy?.credentialList?.version, 1);
});

t.test('a signed thaw that nobody carried out in its time ends no freeze; a new order does', async (t) => {
  const id = await freezeKey();
  await thaw(id, operators.order(keyStore, aboutThaw(id), undefined, dayAgo));
  await refused('thaw', /it expired at/);
  t.match(await signs(caller), { kind: 'Error', code: 'FROZEN' });
  // The bad row does not stand in the way of a good one.
  await thaw(id, operators.order(keyStore, aboutThaw(id)));
  await until('it is thawed', () => worker.report().policy?.frozen.length === 0);
  t.match(await signs(caller), { kind: 'Signatures' });
});

t.test('an attestation replaces no operator: with the HSM and one operator nothing is thawed', async (t) => {
  const id = await freezeKey();
  const byOne = operators.order(keyStore, aboutThaw(id), ['alice']);
  const made = await hsm.attestOrder(byOne.order);
  if (made.ok) await claim(byOne, made.value);
  await thaw(id, byOne);
  await refused('thaw', /1 of the 2 operators/);
  t.match(await signs(caller), { kind: 'Error', code: 'FROZEN' });
  await thaw(id, operators.order(keyStore, aboutThaw(id)));
  await until('it is thawed', () => worker.report().policy?.frozen.length === 0);
});

t.test('an order from the future is not obeyed before its time', async (t) => {
  const id = await freezeKey();
  await thaw(id, operators.order(keyStore, aboutThaw(id), undefined, Date.now() + 86_400_000));
  await refused('thaw', /it is not valid before/);
  t.match(await signs(caller), { kind: 'Error', code: 'FROZEN' });
  await thaw(id, operators.order(keyStore, aboutThaw(id)));
  await until('it is thawed', () => worker.report().policy?.frozen.length === 0);
});

t.test('rows that are nothing at all change nothing', async (t) => {
  const id = await freezeKey();
  for (const order of ['null', '1', '"x"', '{}', '{"order":{"id":{}}}', '{"order":{"id":"x"},"signatures":[]}'])
    await pool.query('insert into thawed (frozen, signed_order, node) values ($1, $2, $3)', [id, order, 'x']);
  await refused('thaw', /it is none/);
  t.match(await signs(caller), { kind: 'Error', code: 'FROZEN' });
  await thaw(id, operators.order(keyStore, aboutThaw(id)));
  await until('it is thawed', () => worker.report().policy?.frozen.length === 0);
  t.match(await signs(caller), { kind: 'Signatures' });
});

t.test('a node that comes later believes what was attested, long after its order expired', async (t) => {
  const id = await freezeKey();
  const expired = operators.order(keyStore, aboutThaw(id), undefined, dayAgo);
  await thaw(id, expired);
  const list = await pin(pool, operators, keyStore, { version: 3, credentials: [caller.listed], atMs: dayAgo });
  const later = await start('node-2', temporaryDirectory(t));
  await inForce(1, later);
  await refused('thaw', /it expired at/, later);
  // As a worker would have written it in their time.
  for (const order of [expired, list]) {
    const made = await hsm.attestOrder(order.order);
    if (made.ok) await claim(order, made.value);
  }
  for (const one of [worker, later]) {
    await inForce(3, one);
    await until('it is thawed', () => one.report().policy?.frozen.length === 0);
  }
  await later.stop();
});

t.test('deleted rows: a node knows what it knew, also after a restart', async (t) => {
  const id = await freezeKey();
  await worker.stop();
  await databases.driverAsOwner('delete from frozen');
  await databases.driverAsOwner('delete from order_in_force');
  worker = await start('node-1', state);
  await inForce(3);
  t.match(await signs(caller), { kind: 'Error', code: 'FROZEN' });
  const order = operators.order(keyStore, aboutThaw(id));
  await thaw(id, order);
  await until('it is thawed', () => worker.report().policy?.frozen.length === 0);
  await until('it is attested anew', async () => (await attestations(order)).length > 0);
  await worker.stop();
  await databases.driverAsOwner('delete from credential_list where version = 3');
  worker = await start('node-1', state);
  t.match(await signs(caller), { kind: 'Error', code: 'CREDENTIAL_NOT_PINNED' }, 'no list rather than an older one');
  t.equal(worker.report().policy?.credentialList, undefined);
});

t.test(
  'a node without memory believes an old list that was in force, unless its configuration says from which on',
  async (t) => {
    await worker.stop();
    const made = await hsm.attestOrder(first.order);
    if (made.ok) await claim(first, made.value);
    const naive = await start('node-2', temporaryDirectory(t));
    await inForce(1, naive);
    t.match(await signs(caller), { kind: 'Signatures' });
    await naive.stop();
    const told = await start('node-2', temporaryDirectory(t), { leastListVersion: 3 });
    t.match(await signs(caller), { kind: 'Error', code: 'CREDENTIAL_NOT_PINNED' });
    t.equal(told.report().policy?.credentialList, undefined);
  },
);
