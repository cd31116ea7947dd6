import type pg from 'pg';
import { type Clock, type ConstructorOptions, type Db, PgBoss } from 'pg-boss';
import { bossSchema } from './boss-schema.ts';

/** How often pg-boss looks, in seconds. It holds no connection for LISTEN: nothing here is in a hurry. */
export interface BossPace {
  /** For schedules that are due. */
  readonly scheduleSeconds: number;
  /** For runs whose node died or that last too long. */
  readonly superviseSeconds: number;
  readonly clock?: Clock;
}

/** Opened by a primary: it works, schedules and supervises. It can change no schema. */
export function openBoss(pool: pg.Pool, { scheduleSeconds, superviseSeconds, clock }: BossPace): PgBoss {
  return new PgBoss({
    ...common(pool),
    ...(clock === undefined ? {} : { clock }),
    cronMonitorIntervalSeconds: scheduleSeconds,
    cronWorkerIntervalSeconds: scheduleSeconds,
    superviseIntervalSeconds: superviseSeconds,
    // The pass over a queue is claimed once in this time, whoever asks: it bounds how soon a dead node is noticed.
    monitorIntervalSeconds: superviseSeconds,
  });
}

/** Opened by a command: it asks and tells, and does no work of its own. */
export function openBossForCommand(pool: pg.Pool): PgBoss {
  return new PgBoss({ ...common(pool), supervise: false, schedule: false });
}

/** Opened by `hsm-driver migrate` with the owner's connections. */
export function openBossForMigration(pool: pg.Pool): PgBoss {
  return new PgBoss({
    ...common(pool),
    supervise: false,
    schedule: false,
    migrate: true,
    createSchema: true,
    bamIntervalSeconds: 10,
  });
}

function common(pool: pg.Pool): ConstructorOptions {
  return {
    db: overPool(pool),
    schema: bossSchema,
    migrate: false,
    createSchema: false,
    // Indexes belong to the owner.
    reindex: false,
    monitorVacuum: false,
    // The cluster's own table says who lives.
    registerInstance: false,
    openTelemetry: { enabled: false },
  };
}

/** One pool for pg-boss and for what jobs do: with its TLS, its time-outs and its limit of connections. */
function overPool(pool: pg.Pool): Db {
  return {
    executeSql: (text, values) => pool.query(text, values),
    async setSessionStatements(statements) {
      pool.on('connect', (client) => {
        for (const statement of statements) void client.query(statement);
      });
    },
  };
}
