import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type pg from 'pg';
import t from 'tap';
import { createHsmDesk, type HsmDesk } from '../src/primary/maintenance/hsm-desk.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { type HsmWork, largestHsmBatch } from '../src/shared/hsm-work.ts';
import { createLog } from '../src/shared/log.ts';
import { type JobReport, readReports } from '../src/shared/maintenance/reports.ts';
import { selectKeysByKeyId } from '../src/worker/key-rows.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled, ownerOf, runJob } from './support/maintenance-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, startSlotWorker } from './support/slot-worker.ts';
import { createSoftwareHsm, failure } from './support/software-hsm.ts';

/** What the audit decides, over two slots whose HSMs fail on demand; real tokens are in maintenance-system.test.ts. */
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installUnscheduled(databases.driver);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const hsms = { a: createSoftwareHsm(), b: createSoftwareHsm() };
const workers = {
  a: await startSlotWorker(t, { api, certificates, database: databases.driver, hsm: hsms.a }),
  b: await startSlotWorker(t, { api, certificates, database: databases.driver, hsm: hsms.b, node: 'node-2' }),
};
const pool = createPool(ownerOf(databases.driver), { applicationName: 'test', durability: 'durable', max: 2 }, quiet);
t.teardown(() => pool.end());

const ask = (slot: string, work: HsmWork) => workers[slot as 'a' | 'b'].hsmWork(work);
const desk = (slots: readonly string[]): HsmDesk => createHsmDesk({ readySlots: () => slots, askHsm: ask });

const audit = (hsm: HsmDesk, settings = {}): Promise<JobReport> =>
  runJob(t, databases.driver, 'key-audit', hsm, settings);

const unusable = failure('healthy', 'KEY_UNUSABLE', false);
async function status(keyId: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ status: string }>('select status from wrapped_key where key_id = $1', [keyId]);
  return rows[0]?.status;
}

t.test(
  'a key that two slots cannot open is marked broken, with a tag that holds, and the audit log tells of it',
  async (t) => {
    const good = await makeKey(api);
    const bad = await makeKey(api);
    for (const hsm of Object.values(hsms)) hsm.failures.set(bad.id, unusable);
    t.match(await audit(desk(['a', 'b'])), {
      state: 'done',
      facts: { keys: 2, holds: 1, unusable: 1 },
      alarms: [`1 stored keys fail (unusable): ${bad.id}`],
    });
    t.equal(await status(bad.id), 'broken');
    t.equal(await status(good.id), 'active');
    const database = {
      query: async (statement: { text: string }, values: readonly unknown[]) =>
        (await pool.query(statement.text, [...values])).rows,
    };
    const [row] = await selectKeysByKeyId(database as unknown as Parameters<typeof selectKeysByKeyId>[0], [bad.id]);
    t.ok(row?.key.tag.equals(hsms.a.tag(row.key)), 'its tag is that of the integrity key');
    const { rows } = await pool.query<{ entry: string }>(
      `select entry from audit_entry where entry like '%"key-marked"%'`,
    );
    t.match(
      rows.map(({ entry }) => JSON.parse(entry)),
      [{ kind: 'key-marked', keyId: bad.id, status: 'broken' }],
    );

    for (const hsm of Object.values(hsms)) hsm.failures.clear();
    t.match(
      await audit(desk(['a', 'b'])),
      { facts: { unusable: 0 }, alarms: [] },
      'a key that holds again is no finding',
    );
  },
);

t.test('where slots disagree the key stays as it is: it may be the slot', async (t) => {
  const key = await makeKey(api);
  hsms.a.failures.set(key.id, unusable);
  const report = await audit(desk(['a', 'b']));
  t.equal(await status(key.id), 'active');
  t.equal(report.state, 'done');
  hsms.a.failures.clear();
  await audit(desk(['a', 'b']));
});

t.test('what a device that is at fault says is said of no key', async (t) => {
  const key = await makeKey(api);
  hsms.a.failures.set(key.id, failure('suspect', 'HSM_DEVICE_FAULT'));
  t.match(await audit(desk(['a'])), {
    facts: { unchecked: 1, unusable: 0 },
    alarms: ['1 stored keys could not be checked; the log says why'],
  });
  t.equal(await status(key.id), 'active');
  t.equal(hsms.a.probes, 1, 'the slot was probed');
  hsms.a.failures.clear();
});

t.test('a slot does one batch of maintenance at a time, and none while it is not ready', async (t) => {
  const key = await makeKey(api);
  const both = await Promise.all([1, 2].map(() => workers.b.hsmWork({ kind: 'check-keys', keyIds: [key.id] })));
  t.match(both, [{ done: true }, { done: false, why: 'busy' }]);
  t.match(await workers.b.hsmWork({ kind: 'from-the-future' } as unknown as HsmWork), { done: false, why: 'unknown' });
  await workers.b.stop();
  t.match(await workers.b.hsmWork({ kind: 'check-keys', keyIds: [key.id] }), { done: false, why: 'not-ready' });
});

t.test('100,000 keys: the audit says its rate and what remains, memory stays flat', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  await fill(pool, 100_000);
  const batches: number[] = [];
  const checked = new Set<string>();
  let repeated = 0;
  const heap: number[] = [];
  const told: Record<string, number>[] = [];
  const synthetic = createHsmDesk({
    readySlots: () => ['a'],
    async askHsm(_slot, work) {
      if (work.kind !== 'check-keys') return { done: false, why: 'unknown' };
      batches.push(work.keyIds.length);
      for (const id of work.keyIds) {
        if (checked.has(id)) repeated += 1;
        checked.add(id);
      }
      if (batches.length % 200 === 0) {
        const running = (await readReports(pool)).find(
          ({ queue, state }) => queue === 'key-audit' && state === 'running',
        );
        if (running?.facts.remainingSeconds !== undefined) told.push(running.facts as Record<string, number>);
        collect();
        heap.push(process.memoryUsage().heapUsed);
      }
      return { done: true, value: work.keyIds.map((keyId) => ({ keyId, verdict: 'holds' as const })) };
    },
  });
  // All of it in one run.
  const { facts, state } = await audit(synthetic, { keyAuditDays: 0.001 });
  t.equal(state, 'done');
  t.ok(checked.size >= 100_000, `${checked.size} keys`);
  t.equal(repeated, 0);
  t.ok(batches.every((size) => size <= largestHsmBatch));
  t.match(facts, { keys: Number, perSecond: Number, wholeTableSeconds: Number });
  t.ok(Number(facts.perSecond) > 0);
  t.ok(told.length > 0, 'it says so while it runs');
  for (const { keys = 0, checkedInRound = 0, perSecond = 0, remainingSeconds = 0 } of told) {
    const expected = (keys - checkedInRound) / perSecond;
    t.ok(Math.abs(remainingSeconds - expected) <= 1 + expected / 10, `${remainingSeconds} s left, ${expected}`);
  }
  const [early = 0, ...later] = heap;
  // What the test itself remembers grows by some 100 bytes a key.
  const grown = Math.max(...later) - early;
  t.ok(grown < 100_000 * 200, `the heap grew by ${Math.round(grown / 1e6)} MB`);
});

/** Rows that nobody can open. */
async function fill(pool: pg.Pool, count: number): Promise<void> {
  await pool.query(
    `insert into wrapped_key (key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm,
       wrap_mechanism, master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation)
     select 'synthetic-' || md5(n::text), 'synthetic-' || n, 'test', 'or-test', 'ECDSA', 'secp256k1', '\\x02', '\\x00',
       'RFC5649', 1, 'mk-test', 'ik-test', '{}', 'active', '\\x00', '\\x00'
     from generate_series(1, $1) as n`,
    [count],
  );
  await pool.query('analyze wrapped_key');
}
