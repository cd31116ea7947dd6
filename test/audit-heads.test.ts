import { generateKeyPairSync } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import t, { type Test } from 'tap';
import { createAuditAnchors } from '../src/api/audit/audit-anchors.ts';
import { entryHash } from '../src/shared/audit/entry.ts';
import { headDigest, headHolds } from '../src/shared/audit/head.ts';
import type { SignedHead } from '../src/shared/audit/signed-head.ts';
import { attestationPublicKey } from '../src/shared/crypto/attestation.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { inForceHolds } from '../src/shared/orders/order-in-force.ts';
import { newOrder } from '../src/shared/orders/sign-order.ts';
import { chainFaults, readChain } from './support/audit-chain.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { open, value } from './support/open-hsm.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, type SlotWorker, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { createKeyStore } from './support/soft-token.ts';
import { failure } from './support/software-hsm.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const parts = { api, certificates, database: databases.driver };
const admin = createPool(
  databases.driver,
  { applicationName: 'test', max: 1, durability: 'durable' },
  createLog('error', {}),
);
t.teardown(() => admin.end());

const headsOf = (worker: SlotWorker): SignedHead[] => api.auditHeads.filter(({ chain }) => chain === worker.instance);

t.test('the head of a chain that grows is signed, carried to the API, and told in the chain', async (t) => {
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const head = await until('a head', () => headsOf(worker)[0]);
  t.ok(headHolds(worker.hsm.attestationKey, 'test', head));
  t.notOk(headHolds(worker.hsm.attestationKey, 'other', head), 'for this key store alone');
  const entries = await until('its entry', async () => {
    const found = await readChain(worker.pool, worker.instance);
    return found.some(({ event }) => event.kind === 'head-signed') && found;
  });
  const at = entries.find(({ sequence }) => sequence === head.sequence);
  t.equal(at && entryHash(at.line), head.hash);
  const { sequence, hash, signature } = head;
  t.match(entries.at(-1)?.event, { kind: 'head-signed', head: { sequence, hash }, signature });
  const offer = signOffer(key.id);
  api.offer(offer);
  await api.outcome(offer.id);
  await worker.stop();
});

t.test('a worker that is stopped leaves a closed chain whose last head the API has', async (t) => {
  const worker = await startSlotWorker(t, parts);
  await makeKey(api);
  t.ok(await worker.stop());
  const entries = await readChain(admin, worker.instance);
  t.strictSame(chainFaults(entries), []);
  t.strictSame(
    entries.slice(-2).map(({ event }) => event.kind),
    ['closed', 'head-signed'],
  );
  const closed = entries.at(-2);
  const last = headsOf(worker).at(-1);
  t.match(last, { sequence: closed?.sequence, hash: entryHash(closed?.line ?? '') });
  const line = worker.log.find(({ msg }) => msg === 'audit head');
  t.strictSame(line?.auditHead, last, 'and the log');
});

t.test('the same head is sent until the API has answered for it', async (t) => {
  let lost = 0;
  api.answerHead = () => (lost++ < 2 ? undefined : 'stored');
  const worker = await startSlotWorker(t, parts);
  await makeKey(api);
  await until('three times', () => lost >= 3);
  await worker.stop();
  const heads = headsOf(worker);
  const [first] = heads;
  t.strictSame(heads.slice(0, 3), [first, first, first]);
  t.ok((heads.at(-1)?.sequence ?? 0) > (first?.sequence ?? 0), 'then newer ones');
  api.answerHead = undefined;
});

t.test('a head that the API refuses is an alarm, and work goes on', async (t) => {
  api.answerHead = () => 'refused';
  const worker = await startSlotWorker(t, parts);
  const key = await makeKey(api);
  const line = await until('alarm', () => worker.log.find(({ code }) => code === 'AUDIT_HEAD_REFUSED'));
  t.match(line, { level: 'error', chain: worker.instance });
  t.equal(worker.report().events.audit_heads_refused, 1);
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  await worker.stop();
  api.answerHead = undefined;
});

t.test('an HSM that does not sign heads costs no request', async (t) => {
  const worker = await startSlotWorker(t, parts);
  worker.hsm.signHead = async () => failure('healthy', 'HSM_REQUEST_REFUSED');
  const key = await makeKey(api);
  const line = await until('warning', () => worker.log.find(({ msg }) => msg === 'audit head not signed'));
  t.match(line, { level: 'warn', code: 'HSM_REQUEST_REFUSED' });
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  t.equal(headsOf(worker).length, 0);
  await worker.stop();
});

t.test('a token signs heads and attests orders with the attestation key of its ceremony', async (t) => {
  const store = await createKeyStore(t);
  const hsm = await open(store, store.slots[0]);
  const head = { chain: crypto.randomUUID(), sequence: 7, hash: entryHash('line') };
  const signature = value(await hsm.signHead(head));
  const about = { kind: 'thaw', subject: 'x' } as const;
  const { order } = newOrder({ keyStore: store.keyStore, about, reason: '' }, 60_000);
  const attestation = value(await hsm.attestOrder(order));
  await hsm.stop();
  const pinned = attestationPublicKey(store.ceremony.attestationKey.publicKey);
  t.ok(headHolds(pinned, store.keyStore, { ...head, signature }));
  t.notOk(headHolds(pinned, store.keyStore, { ...head, sequence: 8, signature }));
  t.ok(inForceHolds(pinned, store.keyStore, order, attestation), 'and orders in force');
  t.notOk(inForceHolds(pinned, 'other', order, attestation));
  t.notOk(inForceHolds(pinned, store.keyStore, { ...order, reason: 'x' }, attestation));
});

t.test('the API keeps heads that hold, and refuses older and forked ones', async (t) => {
  const { anchors, head, rows, alarms } = openAnchors(t);
  const node = { name: 'node-1', keyStore: 'test' };
  const chain = crypto.randomUUID();
  const [third, fifth] = [head(chain, 3, 'three'), head(chain, 5, 'five')];
  t.equal(await anchors.take(node, chain, undefined), undefined);
  t.equal(await anchors.take(node, chain, third), 'stored');
  t.equal(await anchors.take(node, chain, fifth), 'stored');
  t.equal(await anchors.take(node, chain, fifth), 'stored', 'again: its answer may have been lost');
  t.equal(await anchors.take(node, chain, third), 'stored');
  t.strictSame(alarms, []);
  t.equal(await anchors.take(node, chain, head(chain, 4, 'four')), 'refused');
  t.equal(await anchors.take(node, chain, head(chain, 5, 'other')), 'refused');
  t.equal(await anchors.take(node, chain, { ...head(chain, 6, 'six'), signature: fifth.signature }), 'refused');
  t.equal(await anchors.take(node, crypto.randomUUID(), head(chain, 6, 'six')), 'refused');
  t.equal(await anchors.take({ ...node, keyStore: 'unknown' }, chain, head(chain, 6, 'six')), 'refused');
  t.strictSame(alarms, [
    'older than what is stored',
    'another than the one that is stored',
    'not signed by the attestation key',
    'of another instance',
    'not signed by the attestation key',
  ]);
  t.strictSame(await rows(chain), [
    { sequence: '3', hash: third.hash, node: 'node-1' },
    { sequence: '5', hash: fifth.hash, node: 'node-1' },
  ]);
});

t.test('the API’s runtime role can neither change nor remove a head', async (t) => {
  const { pool } = openAnchors(t);
  for (const statement of ["update audit_anchor set hash = ''", 'delete from audit_anchor', 'truncate audit_anchor'])
    await t.rejects(pool.query(statement), { code: '42501' }, statement);
});

function openAnchors(t: Test) {
  const alarms: unknown[] = [];
  const log = createLog('error', {}, { write: (line) => void alarms.push(JSON.parse(line).why) });
  const pool = createPool(databases.api, { applicationName: 'test', max: 2, durability: 'durable' }, log);
  t.teardown(() => pool.end());
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const secret = Buffer.from(key.privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  return {
    pool,
    alarms,
    anchors: createAuditAnchors(pool, new Map([['test', key.publicKey]]), log),
    head(chain: string, sequence: number, line: string): SignedHead {
      const head = { chain, sequence, hash: entryHash(line) };
      const signature = p256.sign(headDigest({ keyStore: 'test', ...head }), secret, { prehash: false });
      return { ...head, signature: Buffer.from(signature).toString('base64url') };
    },
    rows: async (chain: string) =>
      (await pool.query('select sequence, hash, node from audit_anchor where chain = $1 order by sequence', [chain]))
        .rows,
  };
}
