import t from 'tap';
import { checkSchema, migrate } from '../src/shared/database/migrate.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { apiSchema } from '../src/shared/database/schema/api.ts';
import { driverSchema } from '../src/shared/database/schema/driver.ts';
import { createLog } from '../src/shared/log.ts';
import { installMaintenance } from '../src/shared/maintenance/install.ts';
import { openTestDatabases } from './support/database.ts';

const databases = await openTestDatabases(t, { migrated: false });
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 2, durability: 'durable' },
  createLog('error', {}),
);
t.teardown(() => pool.end());

t.test('before the first migration a process says what to do', async (t) => {
  await t.rejects(checkSchema(pool, databases.driver, driverSchema), {
    code: 'SCHEMA_TOO_OLD',
    message: /hsm-driver migrate/,
  });
});

t.test('six at once apply each migration once; the next run applies none', async (t) => {
  const runs = await Promise.all(Array.from({ length: 6 }, () => migrate(databases.driver, driverSchema)));
  t.same(runs.flat().length, driverSchema.migrations.length);
  t.same(await migrate(databases.driver, driverSchema), []);
  await t.resolves(checkSchema(pool, databases.driver, driverSchema));
});

t.test('where a pooler stands before the server, migrations go past it', async (t) => {
  const { host, port } = databases.driver;
  // Nobody listens where the pooler should be.
  const pooled = { ...databases.driver, port: 1, direct: { host, port } };
  t.same(await migrate(pooled, driverSchema), []);
  t.match(await installMaintenance(pooled, createLog('silent', {})), ['maintenance queues']);
  await t.rejects(migrate({ ...databases.driver, port: 1 }, driverSchema), { code: 'DATABASE_UNREACHABLE' });
});

t.test('the runtime role can change no schema and take nothing out of the journal', async (t) => {
  for (const statement of [
    'create table mine (a int)',
    'drop table journal',
    'alter table wrapped_key add column x int',
    'delete from journal',
    "update journal set slot = 'x'",
    "update wrapped_key set blob = ''",
    'truncate journal',
  ]) {
    await t.rejects(pool.query(statement), { code: '42501' }, statement);
  }
});

t.test('a database of the other purpose, or of a newer program, is refused', async (t) => {
  await t.rejects(migrate(databases.driver, apiSchema), {
    code: 'CONFIG_INVALID',
    message: /is the driver database, not the api database/,
  });
  const older = { ...driverSchema, migrations: [] };
  await t.rejects(migrate(databases.driver, older), { code: 'SCHEMA_TOO_NEW' });
  await t.rejects(checkSchema(pool, databases.driver, older), { code: 'SCHEMA_TOO_NEW' });
});

t.test(
  'version N-1 of the program goes on with a schema that only expands, and stops before one that does not',
  async (t) => {
    const next = (driverSchema.migrations.at(-1)?.version ?? 0) + 1;
    const expansion = {
      version: next,
      name: 'expansion',
      needs: next - 1,
      sql: () => 'alter table journal add column remark text',
    };
    const newer = { ...driverSchema, migrations: [...driverSchema.migrations, expansion] };
    t.same(await migrate(databases.driver, newer), [`${next} expansion`]);
    await t.resolves(checkSchema(pool, databases.driver, driverSchema), 'the older program runs');
    t.same(await migrate(databases.driver, driverSchema), [], 'and changes nothing');
    const contraction = { version: next + 1, name: 'contraction', sql: () => 'alter table journal drop column remark' };
    await migrate(databases.driver, { ...newer, migrations: [...newer.migrations, contraction] });
    await t.rejects(checkSchema(pool, databases.driver, driverSchema), { code: 'SCHEMA_TOO_NEW' });
  },
);

t.test('programs of the version before run on every migration that is not released yet', async (t) => {
  // What test/support/earlier-version.ts checks out knows these versions; test/versions.test.ts runs it.
  for (const [schema, released] of [
    [apiSchema, 2],
    [driverSchema, 3],
  ] as const) {
    for (const { version, name, needs = version } of schema.migrations.filter((one) => one.version > released))
      t.ok(needs <= released, `${schema.purpose} ${version} (${name}) needs ${needs}, released is ${released}`);
  }
});

t.test('a configuration without an owner, and a database that is down, are told as such', async (t) => {
  const { owner: _, ...runtime } = databases.driver;
  await t.rejects(migrate(runtime, driverSchema), { code: 'MIGRATION_ROLE_MISSING', message: /database\.owner/ });
  await t.rejects(migrate({ ...databases.driver, port: 1 }, driverSchema), {
    code: 'DATABASE_UNREACHABLE',
    message: /127\.0\.0\.1:1/,
  });
});
