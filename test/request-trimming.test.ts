import t from 'tap';
import { trimRequests } from '../src/api/queue/trim-requests.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';

const databases = await openTestDatabases(t);
const pool = createPool(
  databases.api,
  { applicationName: 'test', durability: 'durable', max: 3 },
  createLog('silent', {}),
);
t.teardown(() => pool.end());
await pool.query("insert into organisation (id, name) values ('or-test', 'Test')");

async function add(count: number, kind: string, state: string, days: number): Promise<void> {
  await pool.query(
    `insert into request (id, organisation, kind, key_store, capability, state, service_account, access_token, user_action,
       fingerprint, body, key_id, scheme, curve, authorisation, created_at)
     select concat_ws('-', $2::text, $3::text, $4::int, n), 'or-test', $2, 'test', 'x', $3, 'sa', 'at',
       concat_ws('-', $2::text, $3::text, $4::int, n), '\\x00', '{}', 'key', 'ECDSA', 'secp256k1', '{}',
       now() - make_interval(days => $4::int)
     from generate_series(1, $1::int) as n`,
    [count, kind, state, days],
  );
}

async function counts(): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ name: string; count: number }>(
    "select kind || ' ' || state as name, count(*)::int as count from request group by 1 order by 1",
  );
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
}

const goOn = new AbortController().signal;

t.test('requests leave the table by the function only, and none that is younger than thirty days', async (t) => {
  await add(1, 'Sign', 'signed', 20);
  await t.rejects(pool.query('delete from request'), { code: '42501' });
  await t.rejects(trimRequests(pool, 29, goOn), { code: '23514' });
  t.equal(await trimRequests(pool, 30, goOn), 0);
  t.strictSame(await counts(), { 'Sign signed': 1 });
});

t.test('final signature requests go, batch by batch; open ones and those that made a key stay', async (t) => {
  await add(2_500, 'Sign', 'signed', 400);
  await add(10, 'Sign', 'failed', 400);
  await add(3, 'Sign', 'queued', 400);
  await add(4, 'GenerateKey', 'made', 400);
  await add(5, 'GenerateKey', 'cancelled', 400);
  await add(6, 'Sign', 'signed', 364);
  t.equal(await trimRequests(pool, 365, goOn), 2_510);
  t.strictSame(await counts(), {
    'GenerateKey cancelled': 5,
    'GenerateKey made': 4,
    'Sign queued': 3,
    'Sign signed': 7,
  });
});

t.test('while one process trims, another one finds nothing to do', async (t) => {
  await add(5, 'Sign', 'signed', 500);
  const first = await pool.connect();
  await first.query('begin');
  await first.query("select pg_advisory_xact_lock(hashtextextended('hsm-driver trim requests', 0))").catch(() => {});
  t.equal(await trimRequests(pool, 365, goOn), 0);
  await first.query('rollback');
  first.release();
  t.equal(await trimRequests(pool, 365, goOn), 5);
});
