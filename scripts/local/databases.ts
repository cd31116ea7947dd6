import pg from 'pg';
import type { Secrets } from './secrets.ts';

/** A server, and who may make databases on it. */
export interface DatabaseServer {
  readonly host: string;
  readonly port: number;
  readonly superuser: string;
  readonly superuserPassword: string;
}

export interface LocalDatabase {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
  readonly passwordFile: string;
  readonly owner: { readonly user: string; readonly passwordFile: string };
}

/**
 * The two databases and their roles, as an administrator would make them: an owner that migrates, and a runtime role
 * that can change no schema.
 * @returns the `database` sections of the configurations.
 */
export async function openDatabases(
  server: DatabaseServer,
  secrets: Secrets,
): Promise<{ api: LocalDatabase; driver: LocalDatabase }> {
  const client = new pg.Client({
    host: server.host,
    port: server.port,
    user: server.superuser,
    password: server.superuserPassword,
    database: 'postgres',
  });
  await client.connect();
  try {
    const open = async (name: string): Promise<LocalDatabase> => {
      const owner = { user: `${name}_owner`, ...secrets.password(`${name}-database-owner`) };
      const runtime = { user: name, ...secrets.password(`${name}-database`) };
      for (const role of [owner, runtime]) await ensureRole(client, role.user, role.value);
      await ensureDatabase(client, name, owner.user);
      return {
        host: server.host,
        port: server.port,
        name,
        user: runtime.user,
        passwordFile: runtime.file,
        owner: { user: owner.user, passwordFile: owner.file },
      };
    };
    return { api: await open('hsm_api'), driver: await open('hsm_driver') };
  } finally {
    await client.end();
  }
}

async function ensureRole(client: pg.Client, role: string, password: string): Promise<void> {
  const { rowCount } = await client.query('select 1 from pg_roles where rolname = $1', [role]);
  if (rowCount === 1) return;
  await client.query(`create role ${client.escapeIdentifier(role)} login password ${client.escapeLiteral(password)}`);
}

async function ensureDatabase(client: pg.Client, name: string, owner: string): Promise<void> {
  const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
  if (rowCount === 1) return;
  await client.query(`create database ${client.escapeIdentifier(name)} owner ${client.escapeIdentifier(owner)}`);
}
