import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import type { FaultSystem } from './fault-system.ts';

/** A point in a request’s life at which a process of the API ends. */
export interface Moment {
  readonly name: string;
  /** Resolves when the process is there, and lets it go no further. @param wire from it to its database. */
  reach(system: FaultSystem, wire: TcpProxy): Promise<void>;
}

/** So long nobody may write requests; then all others go on before the next look. */
const lockedMs = 400;
const limitMs = 30_000;

/**
 * Committed, and the process never hears of it. Requests are locked until a statement of this kind waits in one of its
 * connections; the answers to these are held up from then on; then the statement is let through.
 * @param statement how it begins, in LIKE’s words.
 */
function committed(name: string, statement: string): Moment {
  async function waitsHere(client: pg.Client, wire: TcpProxy): Promise<boolean> {
    // In a transaction the first look is the last, unless one says otherwise.
    await client.query('select pg_stat_clear_snapshot()');
    const { rowCount } = await client.query(
      `select 1 from pg_stat_activity
       where client_port = any($1) and state = 'active' and wait_event_type = 'Lock' and query like $2`,
      [wire.ports(), `${statement}%`],
    );
    return rowCount !== 0;
  }
  return {
    name,
    async reach({ system }, wire) {
      const { port, superuser: user, superuserPassword: password } = system.server;
      const client = new pg.Client({ host: '127.0.0.1', port, user, password, database: system.databases.api.name });
      await client.connect();
      try {
        await until(
          name,
          async () => {
            await client.query('begin; lock table request in share mode');
            const began = performance.now();
            let waits = false;
            while (!waits && performance.now() - began < lockedMs) waits = await waitsHere(client, wire);
            if (waits) wire.mute();
            await client.query('rollback');
            return waits;
          },
          limitMs,
        );
      } finally {
        await client.end();
      }
    },
  };
}

/** Outcomes reach it, and what it would commit does not reach its database any more. */
const outcomeHeld: Moment = {
  name: 'after outcome',
  async reach(_system, wire) {
    wire.freeze();
    await sleep(400);
  },
};

export const moments: readonly Moment[] = [
  committed('after insert', 'insert into request ('),
  // What it takes never leaves for the driver.
  committed('after lease', 'with waiting as ('),
  outcomeHeld,
  committed('after commit', 'with told as materialized ('),
];
