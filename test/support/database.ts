import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import { openDatabases } from '../../scripts/local/databases.ts';
import { openSecrets } from '../../scripts/local/secrets.ts';
import { type PostgresServer, startPostgres } from '../../scripts/setup/postgres.js';
import type { DatabaseConfiguration } from '../../src/shared/configuration/sections.ts';
import { migrate } from '../../src/shared/database/migrate.ts';
import { connectionOptions } from '../../src/shared/database/pool.ts';
import { apiSchema } from '../../src/shared/database/schema/api.ts';
import { driverSchema } from '../../src/shared/database/schema/driver.ts';

export interface TestDatabases {
  /** Migrated; as the runtime role, with the owner beside it. */
  readonly api: DatabaseConfiguration;
  readonly driver: DatabaseConfiguration;
  readonly server: PostgresServer;
  /** One statement on the API’s database as the owner of its schema, who may do what the runtime role may not. */
  asOwner(statement: string, values?: readonly unknown[]): Promise<void>;
  /** The same on the driver’s database. */
  driverAsOwner(statement: string, values?: readonly unknown[]): Promise<void>;
  /** Stops the server and starts it again on the same port and data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A PostgreSQL server of this test's own, with both databases migrated unless told otherwise; gone at the test's end. */
export async function openTestDatabases(t: Test, { migrated = true } = {}): Promise<TestDatabases> {
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-postgres-'));
  const dataDirectory = join(directory, 'data');
  let server = await startPostgres({ dataDirectory, durable: false });
  t.teardown(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const { port } = server;
  const databases = await openDatabases(server, openSecrets(join(directory, 'secrets')));
  if (migrated) await Promise.all([migrate(databases.api, apiSchema), migrate(databases.driver, driverSchema)]);
  return {
    ...databases,
    server,
    asOwner: (statement, values = []) => queryAsOwner(databases.api, statement, values),
    driverAsOwner: (statement, values = []) => queryAsOwner(databases.driver, statement, values),
    async restart() {
      server = await startPostgres({ dataDirectory, durable: false, port });
    },
    stop: () => server.stop(),
  };
}

async function queryAsOwner(
  database: DatabaseConfiguration,
  statement: string,
  values: readonly unknown[],
): Promise<void> {
  const options = { applicationName: 'test owner', durability: 'durable', role: 'owner' } as const;
  const client = new pg.Client(connectionOptions(database, options));
  await client.connect();
  try {
    await client.query(statement, [...values]);
  } finally {
    await client.end();
  }
}
