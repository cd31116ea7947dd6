import t from 'tap';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { keyOffer, keyStore, makeKey, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { createSoftwareHsm } from './support/software-hsm.ts';
import { until } from './support/until.ts';

/**
 * One request at two nodes at once: what happens when a lease ends while its holder still works. Each node has its own
 * API here, so that both are given the same request; HSMs and database are shared as in one key store.
 */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const apis = [await openScriptedApi(t, certificates), await openScriptedApi(t, certificates)] as const;
const hsms = [createSoftwareHsm(keyStore), createSoftwareHsm(keyStore)] as const;
const [first, second] = await Promise.all(
  apis.map((api, at) =>
    startSlotWorker(t, {
      api,
      certificates,
      database: databases.driver,
      hsm: hsms[at] as (typeof hsms)[0],
      node: `node-${at + 1}`,
    }),
  ),
);
if (first === undefined || second === undefined) throw new Error('two workers');

/** Both HSMs have made their result before either may store it. */
function bothAtOnce(): void {
  const gate = Promise.withResolvers<void>();
  for (const hsm of hsms) hsm.gate = gate.promise;
  setImmediate(() => gate.resolve());
}

t.test('one key request at two nodes makes one key; both tell the same', async (t) => {
  for (let round = 0; round < 10; round++) {
    const offer = keyOffer();
    bothAtOnce();
    for (const api of apis) api.offer(offer);
    const [a, b] = await Promise.all(apis.map((api) => api.outcome(offer.id)));
    t.strictSame(a, b);
    t.match(a, { kind: 'PublicKey' });
    const { rows } = await first.pool.query('select 1 from wrapped_key where request_id = $1', [offer.id]);
    t.equal(rows.length, 1);
  }
});

t.test(
  'one signature request at two nodes: one stored signature, both tell its bytes, the other is recorded',
  async (t) => {
    const key = await makeKey(apis[0]);
    const offers = Array.from({ length: 20 }, () => signOffer(key.id));
    bothAtOnce();
    // In different orders: batches that meet in the journal must not dead-lock.
    for (const offer of offers) apis[0].offer(offer);
    for (const offer of offers.toReversed()) apis[1].offer(offer);
    for (const offer of offers) {
      const [a, b] = await Promise.all(apis.map((api) => api.outcome(offer.id)));
      t.match(a, { kind: 'Signatures', publicKey: key.publicKey });
      t.strictSame(a, b);
    }
    const ids = offers.map((offer) => offer.id);
    const journal = await first.pool.query('select distinct request_id from journal where request_id = any($1)', [ids]);
    const made = hsms
      .flatMap((hsm) => hsm.jobs.flatMap((job) => job.requests))
      .filter(({ requestId }) => ids.includes(requestId));
    const discarded = await until('discarded', async () => {
      const { rows } = await first.pool.query('select 1 from discarded_signature where request_id = any($1)', [ids]);
      return rows.length + ids.length === made.length && rows;
    });
    t.equal(journal.rows.length, ids.length);
    t.equal(
      discarded.length,
      made.length - ids.length,
      'every signature is either in the journal or recorded as discarded',
    );
  },
);

t.test('two key requests for one key id: the second is refused, the first stands', async (t) => {
  const offer = keyOffer();
  apis[0].offer(offer);
  const result = await apis[0].outcome(offer.id);
  const other = { ...keyOffer(), keyId: offer.keyId };
  apis[1].offer(other);
  t.match(await apis[1].outcome(other.id), { kind: 'Error', code: 'REQUEST_CONFLICT', retryable: false });
  t.match(result, { kind: 'PublicKey' });
});
