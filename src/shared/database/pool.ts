import { readFileSync } from 'node:fs';
import pg from 'pg';
import { readSecretFile } from '../configuration/secret-file.ts';
import type { DatabaseConfiguration } from '../configuration/sections.ts';
import type { Log } from '../log.ts';

/**
 * How an answer waits for the disk. `durable`: a commit is on disk (and on the synchronous replica) before it is
 * answered; for everything that is told to somebody. `relaxed`: a commit may be lost with the machine in the last
 * moments; only for rows that are made again from what a process or a caller holds.
 */
export type Durability = 'durable' | 'relaxed';

export interface PoolOptions {
  readonly applicationName: string;
  readonly max: number;
  readonly durability: Durability;
  /** How long a connection may take to be made, or to become free. */
  readonly connectTimeoutMs?: number;
  /**
   * A statement without an answer for this long was sent into nothing: the server’s own limit says nothing when it is the
   * server, or the way to it, that is gone. Longer than any statement of this pool takes.
   */
  readonly queryTimeoutMs?: number;
  /**
   * Index scans one row at a time. For queues: only such a scan marks the dead entries of an index it meets, so that the
   * next one passes over them; a bitmap scan collects all that were left since the last vacuum, each time.
   */
  readonly plainIndexScans?: boolean;
  /** Connect as the schema's owner instead of the runtime role; never through a pooler. */
  readonly role?: 'owner';
  /** To the server itself where a pooler stands before it: for LISTEN. */
  readonly direct?: true;
}

/**
 * A connection pool; nothing is connected before the first query. Idle connections that break are logged once and
 * replaced at the next query.
 * @throws SECRET_FILE_* for the password file.
 */
export function createPool(database: DatabaseConfiguration, options: PoolOptions, log: Log): pg.Pool {
  const pool = new pg.Pool({ ...connectionOptions(database, options), max: options.max, idleTimeoutMillis: 30_000 });
  const lost = (error: Error): void => log.debug({ error: error.message }, 'database connection lost');
  pool.on('error', lost);
  // The pool listens only to idle connections: one that breaks in a transaction, between two queries, would otherwise end
  // the process. Its next query fails.
  pool.on('connect', (client) => client.on('error', lost));
  return pool;
}

/** Options of one connection, for LISTEN, which needs its own. */
export function connectionOptions(database: DatabaseConfiguration, options: Omit<PoolOptions, 'max'>): pg.ClientConfig {
  const role = options.role === 'owner' ? database.owner : database;
  if (role === undefined) throw new Error('the caller checks that database.owner is there');
  const where = options.role === 'owner' ? 'database.owner.passwordFile' : 'database.passwordFile';
  return {
    ...addressOf(database, options.direct === true || options.role === 'owner'),
    database: database.name,
    user: role.user,
    ...(role.passwordFile === undefined ? {} : { password: readSecretFile(role.passwordFile, where).toString('utf8') }),
    ...(database.caFile === undefined ? {} : { ssl: { ca: readFileSync(database.caFile, 'utf8') } }),
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    ...(options.queryTimeoutMs === undefined ? {} : { query_timeout: options.queryTimeoutMs }),
    // A connection that idles, as that for LISTEN does, and whose other end is gone without a word: seen in half a minute.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    options: [
      `-c synchronous_commit=${options.durability === 'durable' ? 'on' : 'off'}`,
      '-c statement_timeout=30000',
      ...(options.plainIndexScans === true ? ['-c enable_bitmapscan=off'] : []),
    ].join(' '),
  };
}

function addressOf({ host, port, direct }: DatabaseConfiguration, pastPooler: boolean): { host: string; port: number } {
  return pastPooler && direct !== undefined ? direct : { host, port };
}
