import pg from 'pg';
import type { DatabaseConfiguration } from '../shared/configuration/sections.ts';
import { isUnreachable, unreachable } from '../shared/database/faults.ts';
import { checkSchema, type Schema } from '../shared/database/migrate.ts';
import { connectionOptions, createPool } from '../shared/database/pool.ts';
import { type Replication, replicationProblem, replicationQuery } from '../shared/database/replication.ts';
import type { Log } from '../shared/log.ts';
import { type Check, type Finding, good, problem, warning } from './check.ts';
import { clockFinding } from './clock.ts';

/** A statement on the database as its runtime role. */
type Ask = <Row extends pg.QueryResultRow>(text: string) => Promise<Row>;

export interface DatabaseExpectations {
  readonly schema: Schema;
  /** Tables of which the runtime role must not be able to delete or change rows: what auditors rely on. */
  readonly appendOnly: readonly string[];
  /** Connections that this configuration's processes hold at most. */
  readonly connections: number;
  readonly log: Log;
}

/** Reachable, migrated, the role able to do its work and no more, safe against a crash, room for all connections. */
export function databaseChecks(database: DatabaseConfiguration, expected: DatabaseExpectations): readonly Check[] {
  const asking = async (
    look: (ask: Ask) => Promise<readonly Finding[]>,
    where: { readonly direct?: true } = {},
  ): Promise<readonly Finding[]> => {
    const client = new pg.Client(
      connectionOptions(database, { applicationName: 'hsm-driver doctor', durability: 'durable', ...where }),
    );
    // A connection that breaks shows in the statement that fails.
    client.on('error', () => {});
    try {
      await client.connect();
      return await look(async (text) => (await client.query(text)).rows[0]);
    } catch (error) {
      throw isUnreachable(error) ? unreachable(database, error) : error;
    } finally {
      await client.end().catch(() => {});
    }
  };
  return [
    { name: 'database', needs: ['files'], look: () => asking(reached) },
    ...(database.direct === undefined
      ? []
      : [{ name: 'database.direct', needs: ['files'], look: () => asking(reached, { direct: true }) }]),
    { name: 'database schema', needs: ['database'], look: () => schemaIsRight(database, expected) },
    { name: 'database role', needs: ['database schema'], look: () => asking((ask) => role(ask, expected.appendOnly)) },
    { name: 'database safety', needs: ['database'], look: () => asking(safety) },
    {
      name: 'database connections',
      needs: ['database'],
      look: () => asking((ask) => room(ask, expected.connections)),
    },
  ];
}

async function reached(ask: Ask): Promise<readonly Finding[]> {
  const before = Date.now();
  const row = await ask<{ now: Date; version: string; major: number; tls: boolean; local: boolean }>(
    `select clock_timestamp() as now, current_setting('server_version') as version,
       current_setting('server_version_num')::int / 10000 as major,
       coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as tls,
       coalesce(inet_client_addr() << '127.0.0.0/8' or inet_client_addr() = '::1', true) as local`,
  );
  const found = `PostgreSQL ${row.version} answers`;
  return [
    row.major < 14 ? problem(`${found}, too old`, 'Use PostgreSQL 14 or newer') : good(found),
    row.tls || row.local
      ? good(row.tls ? 'the connection is encrypted' : 'the connection stays on this machine')
      : warning('the connection crosses a network unencrypted', 'Set database.caFile'),
    clockFinding('the database', row.now.getTime(), before, Date.now()),
  ];
}

async function schemaIsRight(
  database: DatabaseConfiguration,
  { schema, log }: DatabaseExpectations,
): Promise<readonly Finding[]> {
  const pool = createPool(database, { applicationName: 'hsm-driver doctor', max: 1, durability: 'durable' }, log);
  try {
    await checkSchema(pool, database, schema);
    return [good(`the schema of ${database.name} is one that this program knows`)];
  } finally {
    await pool.end();
  }
}

async function role(ask: Ask, appendOnly: readonly string[]): Promise<readonly Finding[]> {
  const { superuser, creates, changeable } = await ask<{
    superuser: boolean;
    creates: boolean;
    changeable: string[];
  }>(`
    select (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as superuser,
      has_schema_privilege(current_user, 'public', 'create') as creates,
      array(select name from unnest(array[${appendOnly.map((name) => `'${name}'`).join(', ')}]::text[]) as name
        where to_regclass(name) is not null and (has_table_privilege(current_user, name, 'update')
          or has_table_privilege(current_user, name, 'delete') or has_table_privilege(current_user, name, 'truncate'))
      ) as changeable`);
  const cure = 'Give database.user nothing but what hsm-driver migrate grants it';
  return [
    superuser
      ? problem('the runtime role may do anything in this server', cure)
      : good('the runtime role is no superuser'),
    creates ? problem('the runtime role may create tables', cure) : good('the runtime role can change no schema'),
    changeable.length > 0
      ? problem(`the runtime role may change rows of ${changeable.join(', ')}`, cure)
      : good('the runtime role cannot change what was recorded'),
  ];
}

/** What would lose a committed key or signature when the machine fails. */
async function safety(ask: Ask): Promise<readonly Finding[]> {
  const row = await ask<{ fsync: string; full: string; commit: string; replica: boolean }>(
    `select current_setting('fsync') as fsync, current_setting('full_page_writes') as full,
       current_setting('synchronous_commit') as commit, pg_is_in_recovery() as replica`,
  );
  const lag = replicationProblem(await ask<Replication>(replicationQuery));
  const todo = 'Set it to on in postgresql.conf: a key that was reported must be on disk';
  return [
    row.replica
      ? problem('this server is a standby and cannot be written', 'Point database.host at the primary server')
      : good('the server can be written'),
    lag === undefined ? good('no replica lags behind') : problem(lag, 'Set synchronous_standby_names on the server'),
    row.fsync === 'on' ? good('fsync is on') : warning('fsync is off', todo),
    row.full === 'on' ? good('full_page_writes is on') : warning('full_page_writes is off', todo),
    ['on', 'remote_apply'].includes(row.commit)
      ? good('commits wait for the disk')
      : problem(`synchronous_commit is ${row.commit} although this program sets it`, 'Remove what overrides it'),
  ];
}

async function room(ask: Ask, mine: number): Promise<readonly Finding[]> {
  const { most, used } = await ask<{ most: number; used: number }>(
    `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
       (select count(*)::int from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) as used`,
  );
  const sum = `this configuration needs up to ${mine} connections; the server allows ${most}, ${used} are in use now`;
  if (mine > most) return [problem(sum, 'Raise max_connections')];
  if (used + mine > most) return [warning(sum, 'Raise max_connections, unless those in use are this configuration’s')];
  return [good(sum)];
}
