import t from 'tap';
import { createHsmDesk } from '../src/primary/maintenance/hsm-desk.ts';
import { firstPage, nextPage } from '../src/primary/maintenance/jobs/audit-pages.ts';
import { createKeyAudit } from '../src/primary/maintenance/jobs/key-audit.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { type CheckedKey, largestHsmBatch } from '../src/shared/hsm-work.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled, ownerOf, runJob } from './support/maintenance-node.ts';

/** Far more findings than a busy HSM checks in a run: it takes two seconds for each key, on a clock of the test's own. */
const perKeyMs = 2_000;
/** The limit of the queue, after which the run would be ended. */
const limitMs = 540_000;
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installUnscheduled(databases.driver);
const owner = createPool(ownerOf(databases.driver), { applicationName: 'test', durability: 'durable', max: 1 }, quiet);
t.teardown(() => owner.end());
await owner.query(
  `insert into wrapped_key (key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm,
     wrap_mechanism, master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation)
   select 'key-' || lpad(n::text, 4, '0'), 'request-' || n, 'test', 'or-test', 'ECDSA', 'secp256k1', '\\x02', '\\x00',
     'RFC5649', 1, 'mk-test', 'ik-test', '{}', 'active', '\\x00', '\\x00'
   from generate_series(1, 400) as n`,
);
await owner.query(
  `insert into key_finding (key_id, verdict, problem, last_found_at)
   select key_id, 'tag', 'it was so', now() - interval '1 hour' from wrapped_key`,
);

let clockMs = 0;

/** @returns the keys in the order in which they were looked at, and how long it took */
async function audit(verdict: CheckedKey['verdict']) {
  const looked: string[] = [];
  const began = clockMs;
  const desk = createHsmDesk({
    readySlots: () => ['a'],
    async askHsm(_slot, work) {
      if (work.kind !== 'check-keys') return { done: false, why: 'unknown' };
      looked.push(...work.keyIds);
      clockMs += perKeyMs * work.keyIds.length;
      return { done: true, value: work.keyIds.map((keyId) => ({ keyId, verdict })) };
    },
  });
  const jobs = {
    'key-audit': createKeyAudit(
      () => 7,
      () => clockMs,
    ),
  };
  const report = await runJob(t, databases.driver, 'key-audit', desk, {}, jobs);
  return { looked, ms: clockMs - began, ...report };
}

async function lastKey(): Promise<string> {
  const { rows } = await owner.query<{ last_key: string }>('select last_key from key_audit');
  return rows[0]?.last_key ?? '';
}

t.test('the round goes on however many keys failed before, and the run keeps to its time', async (t) => {
  const { looked, ms, state } = await audit('tag');
  t.equal(state, 'done');
  t.ok(ms < limitMs, `${ms} ms`);
  const inRound = Number((await lastKey()).slice('key-'.length));
  t.ok(inRound >= 50, `the round came to key ${inRound}`);
  t.ok(looked.length - inRound >= 50, 'and findings were looked at');
});

t.test('findings have their turn one after the other, those too that nobody can check', async (t) => {
  const seen = new Set<string>();
  const before = await owner.query<{ key_id: string }>(
    'select key_id from key_finding order by last_found_at, key_id limit 100',
  );
  const first = await audit('unchecked');
  t.strictSame(
    first.looked.slice(0, 100),
    before.rows.map(({ key_id }) => key_id),
    'those that were not looked at for longest come first',
  );
  for (const keyId of first.looked) seen.add(keyId);
  const second = await audit('unchecked');
  t.notOk(
    second.looked.slice(0, 100).some((keyId) => seen.has(keyId)),
    'the next run takes others',
  );
  const { rows } = await owner.query<{ count: number }>('select count(*)::int as count from key_finding');
  t.strictSame(rows, [{ count: 400 }], 'none is forgotten');
});

t.test('a page is what takes about a minute', (t) => {
  t.equal(nextPage(firstPage, 200), largestHsmBatch);
  t.equal(nextPage(100, 120_000), 50);
  t.equal(nextPage(10, 100_000), 6);
  t.equal(nextPage(1, 120_000), 1);
  t.end();
});
