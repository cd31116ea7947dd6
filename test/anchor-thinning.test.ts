import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import t from 'tap';
import { createAuditAnchors } from '../src/api/audit/audit-anchors.ts';
import { thinAnchors } from '../src/api/audit/thin-anchors.ts';
import { startHourly } from '../src/api/hourly.ts';
import { headMessage } from '../src/shared/audit/head.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
const pool = createPool(databases.api, { applicationName: 'test', durability: 'durable', max: 2 }, quiet);
t.teardown(() => pool.end());
const goOn = new AbortController().signal;

/** Heads with these numbers, received at noon and after, so many days ago. */
async function add(chain: string, daysAgo: number, sequences: readonly number[]): Promise<void> {
  await pool.query(
    `insert into audit_anchor (chain, sequence, key_store, node, hash, signature, received_at)
     select $1, n, 'test', 'node-1', 'hash-' || n, 's',
       date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' - make_interval(days => $2) + interval '12 hours'
         + n * interval '1 second'
     from unnest($3::bigint[]) as n`,
    [chain, daysAgo, sequences],
  );
}

async function kept(chain: string): Promise<number[]> {
  const { rows } = await pool.query<{ n: number }>(
    'select sequence::int as n from audit_anchor where chain = $1 order by sequence',
    [chain],
  );
  return rows.map(({ n }) => n);
}

t.test('each chain keeps its newest head and the last of every day, and all of the last two days', async (t) => {
  const [lives, ended] = [randomUUID(), randomUUID()];
  await add(lives, 6, [10, 20, 30]);
  await add(lives, 5, [40]);
  await add(lives, 4, [50, 60]);
  await add(lives, 1, [70, 80]);
  await add(ended, 4, [5, 6, 7]);
  t.equal(await thinAnchors(pool, goOn), 5);
  t.strictSame(await kept(lives), [30, 40, 60, 70, 80]);
  t.strictSame(await kept(ended), [7]);
  t.equal(await thinAnchors(pool, goOn), 0, 'and stays so');
});

t.test('many go batch by batch, while one other process at most does it', async (t) => {
  const chain = randomUUID();
  await add(
    chain,
    9,
    Array.from({ length: 2_500 }, (_, at) => at + 1),
  );
  const other = await pool.connect();
  await other.query('begin');
  await other.query("select pg_advisory_xact_lock(hashtextextended('hsm-driver thin audit anchors', 0))");
  t.equal(await thinAnchors(pool, goOn), 0);
  await other.query('rollback');
  other.release();
  t.equal(await thinAnchors(pool, goOn), 2_499);
  t.strictSame(await kept(chain), [2_500]);
});

t.test('an older head is refused as before, and the runtime role removes none by itself', async (t) => {
  const chain = randomUUID();
  await add(chain, 9, [1, 2, 3]);
  await thinAnchors(pool, goOn);
  await t.rejects(pool.query('delete from audit_anchor'), { code: '42501' });
  const reasons: unknown[] = [];
  const log = createLog('error', {}, { write: (line) => void reasons.push(JSON.parse(line).why) });
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const anchors = createAuditAnchors(pool, new Map([['test', key.publicKey]]), log);
  const head = { chain, sequence: 2, hash: 'h'.repeat(43) };
  const message = headMessage({ keyStore: 'test', ...head });
  const signature = sign('sha256', message, { key: key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  t.equal(await anchors.take({ name: 'node-1', keyStore: 'test' }, chain, { ...head, signature }), 'refused');
  t.strictSame(reasons, ['older than what is stored']);
});

t.test('the API does it by itself, again and again', async (t) => {
  const lines: { msg: string; removed: number }[] = [];
  const log = createLog('info', {}, { write: (line) => void lines.push(JSON.parse(line)) });
  const hourly = startHourly({ what: 'audit anchors', work: (signal) => thinAnchors(pool, signal), everyMs: 20, log });
  t.teardown(() => hourly.stop());
  for (const round of [1, 2]) {
    const chain = randomUUID();
    await add(chain, 3 + round, [1, 2]);
    await until('one is left', async () => (await kept(chain)).length === 1);
  }
  t.match(lines, [{ msg: 'old rows removed', removed: 1 }, { removed: 1 }]);
});
