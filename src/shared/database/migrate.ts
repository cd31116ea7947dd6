import pg from 'pg';
import type { DatabaseConfiguration } from '../configuration/sections.ts';
import { CodedError } from '../errors.ts';
import { isUnreachable, unreachable } from './faults.ts';
import { connectionOptions } from './pool.ts';

/**
 * Migrations: `hsm-driver migrate` is the only thing that changes a schema. A migration is never edited once it is
 * released; N expands, N+1 contracts, so that two program versions work on one database.
 */
export interface Migration {
  readonly version: number;
  readonly name: string;
  /**
   * The oldest schema version that a program must know to run on a database with this migration. Left out: its own, so
   * older programs stop. An expansion names an older one, so that version N-1 goes on during a rolling upgrade.
   * Not simply the one before: what counts is the schema that the last release knows (test/versions.test.ts runs it).
   */
  readonly needs?: number;
  /** SQL statements; `runtime` is the quoted name of the runtime role, for grants. */
  readonly sql: (runtime: string) => string;
}

export interface Schema {
  /** `api` or `driver`: kept in the database, so that one cannot be migrated as the other. */
  readonly purpose: string;
  readonly migrations: readonly Migration[];
  /** The oldest schema version this program can run on. */
  readonly oldest: number;
}

/**
 * Brings a database to the newest version, in one transaction under an advisory lock: several at once are safe, and a
 * second run does nothing.
 * @returns the names of the migrations that were applied.
 */
export async function migrate(database: DatabaseConfiguration, schema: Schema): Promise<string[]> {
  if (database.owner === undefined) throw new CodedError('MIGRATION_ROLE_MISSING', `for database ${database.name}`);
  const client = new pg.Client(
    connectionOptions(database, { applicationName: 'hsm-driver migrate', durability: 'durable', role: 'owner' }),
  );
  try {
    await client.connect();
    return await applyMissing(client, database, schema);
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await client.end().catch(() => {});
  }
}

async function applyMissing(client: pg.Client, database: DatabaseConfiguration, schema: Schema): Promise<string[]> {
  const runtime = client.escapeIdentifier(database.user);
  const applied: string[] = [];
  await client.query('begin');
  await client.query("select pg_advisory_xact_lock(hashtextextended('hsm-driver migrate', 0))");
  await client.query(`create table if not exists schema_migration (
    version integer primary key, purpose text not null, name text not null, needs integer not null,
    applied_at timestamptz not null default now())`);
  await client.query(`grant select on schema_migration to ${runtime}`);
  const { rows } = await client.query<{ version: number; purpose: string; needs: number }>(
    'select version, purpose, needs from schema_migration',
  );
  const foreign = rows.find((row) => row.purpose !== schema.purpose);
  if (foreign !== undefined) {
    throw new CodedError(
      'CONFIG_INVALID',
      `database ${database.name} is the ${foreign.purpose} database, not the ${schema.purpose} database`,
    );
  }
  const present = Math.max(0, ...rows.map((row) => row.version));
  refuseTooNew(database, schema, present, Math.max(0, ...rows.map((row) => row.needs)));
  for (const migration of schema.migrations.filter((one) => one.version > present)) {
    // The row first: another runner without the lock would collide here and roll back.
    await client.query('insert into schema_migration (version, purpose, name, needs) values ($1, $2, $3, $4)', [
      migration.version,
      schema.purpose,
      migration.name,
      migration.needs ?? migration.version,
    ]);
    await client.query(migration.sql(runtime));
    applied.push(`${migration.version} ${migration.name}`);
  }
  await client.query('commit');
  return applied;
}

/**
 * Start-up check of every process: is the schema within the range this program understands?
 * @throws SCHEMA_TOO_OLD, SCHEMA_TOO_NEW, DATABASE_UNREACHABLE
 */
export async function checkSchema(pool: pg.Pool, database: DatabaseConfiguration, schema: Schema): Promise<void> {
  let version: number;
  let needs: number;
  try {
    const { rows } = await pool.query<{ version: number; needs: number }>(
      `select coalesce(max(version), 0) as version, coalesce(max(needs), 0) as needs
       from schema_migration where purpose = $1`,
      [schema.purpose],
    );
    version = rows[0]?.version ?? 0;
    needs = rows[0]?.needs ?? 0;
  } catch (error) {
    // There is no such table yet.
    if ((error as { code?: string }).code === '42P01') version = needs = 0;
    else if (isUnreachable(error)) throw unreachable(database, error);
    else throw error;
  }
  if (version < schema.oldest)
    throw new CodedError('SCHEMA_TOO_OLD', `${database.name} has version ${version}, needed is ${schema.oldest}`);
  refuseTooNew(database, schema, version, needs);
}

/** A newer schema is fine where each of its migrations says that a program of this version can live with it. */
function refuseTooNew(database: DatabaseConfiguration, schema: Schema, version: number, needs: number): void {
  const newest = schema.migrations.at(-1)?.version ?? 0;
  if (needs <= newest) return;
  throw new CodedError('SCHEMA_TOO_NEW', `${database.name} has version ${version}, this program knows ${newest}`);
}
