import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { DatabaseConfiguration } from '../shared/configuration/sections.ts';
import { isUnreachable, unreachable } from '../shared/database/faults.ts';
import type { Log } from '../shared/log.ts';
import { createBackOff } from './back-off.ts';

/** One SQL statement: prepared by name, so that the server plans it once a connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** The database, not the request, is to blame. The work is given back, or repeated once the database answers. */
export class DatabaseLost extends Error {
  override readonly name = 'DatabaseLost';
}

/** Whatever it was that kept a connection from being made: the network’s codes, and those of TLS, are too many to list. */
class NotConnected extends Error {}

/**
 * The driver database as the worker sees it: it answers, or it does not. Whoever meets a fault of it makes it lost for
 * the whole worker; from then on it is asked with growing pauses until it can be written again.
 */
export interface DriverDatabase {
  readonly answers: boolean;
  /** @throws DatabaseLost; the server's own error where the statement's data is to blame */
  query<Row extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<Row[]>;
  /** Repeats `work` until the database did not fail under it; for work that may be done twice. Rejects after stop(). */
  persistently<Result>(work: () => Promise<Result>): Promise<Result>;
  onChange(listener: (answers: boolean) => void): void;
  /** Gives up waiting for a lost database. */
  stop(): void;
}

/** A statement without an answer for this long was sent into nothing. */
const queryTimeoutMs = 5_000;
const firstPauseMs = 250;
const longestPauseMs = 2_000;

export function createDriverDatabase(pool: pg.Pool, configuration: DatabaseConfiguration, log: Log): DriverDatabase {
  const listeners: ((answers: boolean) => void)[] = [];
  // Reset by real work only: a server that lets itself be asked but refuses the work is asked ever more slowly.
  const backOff = createBackOff(firstPauseMs, longestPauseMs);
  const stopped = new AbortController();
  let recovering: Promise<void> | undefined;
  let worked = false;

  async function run<Row extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<Row[]> {
    const query = { ...statement, values: [...values], query_timeout: queryTimeoutMs };
    const client = await pool.connect().catch((cause: unknown) => {
      throw new NotConnected('no connection', { cause });
    });
    let failed: unknown;
    try {
      return (await client.query<Row>(query)).rows;
    } catch (error) {
      failed = error;
      throw error;
    } finally {
      client.release(failed instanceof Error ? failed : failed !== undefined);
    }
  }

  function lost(cause: unknown): DatabaseLost {
    const error = unreachable(configuration, cause);
    if (recovering === undefined && !stopped.signal.aborted) {
      if (worked) backOff.reset();
      worked = false;
      log.warn({ code: error.code, cause: error.detail }, 'database lost; polling stops until it answers');
      recovering = recover();
      for (const listener of listeners) listener(false);
    }
    return new DatabaseLost(error.message, { cause });
  }

  async function recover(): Promise<void> {
    const since = performance.now();
    while (!stopped.signal.aborted) {
      await sleep(backOff.next(), undefined, { signal: stopped.signal }).catch(() => {});
      if (stopped.signal.aborted || !(await isWritable())) continue;
      recovering = undefined;
      log.info({ ms: Math.round(performance.now() - since) }, 'database answers again');
      for (const listener of listeners) listener(true);
      return;
    }
  }

  async function isWritable(): Promise<boolean> {
    try {
      const rows = await run<{ writable: boolean }>(selectWritable, []);
      return rows[0]?.writable === true;
    } catch (error) {
      log.debug({ error: (error as Error).message }, 'database still lost');
      return false;
    }
  }

  async function query<Row extends pg.QueryResultRow>(
    statement: Statement,
    values: readonly unknown[],
  ): Promise<Row[]> {
    try {
      const rows = await run<Row>(statement, values);
      worked = true;
      return rows;
    } catch (error) {
      if (error instanceof NotConnected) throw lost(error.cause);
      throw isDatabaseFault(error) ? lost(error) : error;
    }
  }

  return {
    get answers() {
      return recovering === undefined;
    },
    query,
    async persistently(work) {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if (!(error instanceof DatabaseLost) || stopped.signal.aborted) throw error;
          await recovering;
        }
      }
    },
    onChange(listener) {
      listeners.push(listener);
    },
    stop() {
      stopped.abort();
    },
  };
}

/** A standby that answers is of no use: after a fail-over it would refuse every insert. */
const selectWritable: Statement = {
  name: 'worker_select_writable',
  text: "select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable",
};

/** SQLSTATE classes that name the data of a statement; a fault of any other class is the database's. */
const dataClasses = ['21', '22', '23', '54'];

function isDatabaseFault(error: unknown): boolean {
  if (isUnreachable(error)) return true;
  const code = (error as { code?: unknown }).code;
  // Without an SQLSTATE it is an error of our own program.
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !dataClasses.includes(code.slice(0, 2));
}
