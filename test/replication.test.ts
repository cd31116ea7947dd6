import pg from 'pg';
import t from 'tap';
import { databaseChecks } from '../src/doctor/database.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { checkReplication, readReplication, replicationProblem } from '../src/shared/database/replication.ts';
import { driverSchema } from '../src/shared/database/schema/driver.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { runJob } from './support/maintenance-node.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const { driver, server } = databases;
const pool = createPool(driver, { applicationName: 'test', durability: 'durable', max: 1 }, createLog('silent', {}));
t.teardown(() => pool.end());
const administrator = {
  host: server.host,
  port: server.port,
  user: server.superuser,
  password: server.superuserPassword,
};

t.test('what loses nothing is no problem, everything else is', async (t) => {
  const cases = [
    [{ replicas: 0, synchronous: 0, waitsFor: '' }, undefined],
    [{ replicas: 0, synchronous: null, waitsFor: 'ANY 1 (a, b)' }, undefined],
    [{ replicas: 2, synchronous: 1, waitsFor: 'ANY 1 (a, b)' }, undefined],
    [{ replicas: 2, synchronous: null, waitsFor: 'a' }, undefined],
    [{ replicas: 1, synchronous: null, waitsFor: '' }, /1 replicas are connected and none is synchronous/],
    [{ replicas: 1, synchronous: 0, waitsFor: 'another' }, /none is synchronous: .* is another/],
  ] as const;
  for (const [seen, problem] of cases) {
    const found = replicationProblem(seen);
    if (problem === undefined) t.equal(found, undefined, JSON.stringify(seen));
    else t.match(found, problem, JSON.stringify(seen));
  }
});

t.test('without a replica all is well, unless one is required', async (t) => {
  t.equal(await checkReplication(pool, driver), undefined);
  await t.rejects(checkReplication(pool, { ...driver, synchronousReplica: 'required' }), {
    code: 'REPLICAS_NOT_SYNCHRONOUS',
    message: /no synchronous replica is configured/,
  });
});

t.test('a replica that the server does not wait for is seen by the runtime role', async (t) => {
  const client = new pg.Client(administrator);
  await client.connect();
  t.teardown(() => client.end());
  const { rows } = await client.query<{ at: string }>('select pg_current_wal_flush_lsn()::text as at');

  // What a standby does, without its disk: it asks for the log and never says that it has it.
  const standby = new pg.Client({ ...administrator, replication: 'true' } as pg.ClientConfig);
  standby.on('error', () => {});
  await standby.connect();
  t.teardown(() => standby.end());
  standby.query(`START_REPLICATION PHYSICAL ${rows[0]?.at}`).catch(() => {});

  const seen = await until('the replica is connected', async () => {
    const replication = await readReplication(pool);
    return replication.replicas === 1 && replication;
  });
  t.strictSame(seen, { replicas: 1, synchronous: null, waitsFor: '' });
  t.match(await checkReplication(pool, driver), /1 replicas are connected and none is synchronous/);
  await t.rejects(checkReplication(pool, { ...driver, synchronousReplica: 'required' }), {
    code: 'REPLICAS_NOT_SYNCHRONOUS',
  });
  const expected = { schema: driverSchema, appendOnly: ['journal'], connections: 6, log: createLog('silent', {}) };
  const safety = databaseChecks(driver, expected).filter(({ name }) => name === 'database safety');
  const found = await safety[0]?.look();
  t.match(
    found?.filter(({ level }) => level === 'problem'),
    [{ found: /1 replicas are connected and none is synchronous/, todo: /synchronous_standby_names/ }],
    'doctor says so',
  );
  t.match(
    (await runJob(t, driver, 'replication-check')).alarms,
    [/1 replicas are connected and none is synchronous/],
    'and so does the job',
  );
});
