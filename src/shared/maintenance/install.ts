import type pg from 'pg';
import type { PgBoss } from 'pg-boss';
import type { DatabaseConfiguration } from '../configuration/sections.ts';
import { isUnreachable, unreachable } from '../database/faults.ts';
import { createPool } from '../database/pool.ts';
import type { Log } from '../log.ts';
import { openBossForMigration } from './boss.ts';
import { bossSchema } from './boss-schema.ts';
import { maintenanceQueue, maintenanceQueues, type QueueName, queueNames } from './queues.ts';

/** A node that dies is noticed this long after its last sign of life, at the next pass of a supervisor. */
const heartbeatSeconds = 30;
/** What a run said stays for this long in pg-boss; the last report of each job stays for ever, see reports.ts. */
const keepSeconds = 14 * 86_400;

/**
 * The part of `hsm-driver migrate` that makes or upgrades the schema of pg-boss, its queues and their schedules. Safe to
 * run twice and by several at once.
 * @returns what was made, for people.
 * @throws DATABASE_UNREACHABLE
 */
export async function installMaintenance(database: DatabaseConfiguration, log: Log): Promise<string[]> {
  const options = { applicationName: 'hsm-driver migrate', durability: 'durable', role: 'owner', max: 2 } as const;
  const pool = createPool(database, options, log);
  try {
    return await install(pool, database, log);
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end().catch(() => {});
  }
}

async function install(pool: pg.Pool, database: DatabaseConfiguration, log: Log): Promise<string[]> {
  const boss = openBossForMigration(pool);
  // An error that matters is thrown by the call that meets it.
  boss.on('error', (error) => log.debug({ cause: error.message }, 'pg-boss'));
  const before = await versionOf(boss);
  await boss.start();
  try {
    await indexesBuilt(boss);
    for (const name of queueNames) await makeQueue(boss, name);
    await forgetOldSchedules(boss);
    await grant(pool, database.user);
    const after = await boss.schemaVersion();
    return before === after ? [] : [`maintenance queues (pg-boss schema ${after})`];
  } finally {
    await boss.stop({ graceful: false });
  }
}

async function versionOf(boss: PgBoss): Promise<number | null> {
  return (await boss.isInstalled()) ? await boss.schemaVersion() : null;
}

async function makeQueue(boss: PgBoss, name: QueueName): Promise<void> {
  const { cron, limitSeconds, retries, retryDelaySeconds = 5 } = maintenanceQueue(name);
  const options = {
    expireInSeconds: limitSeconds,
    retryLimit: retries,
    retryDelay: retryDelaySeconds,
    heartbeatSeconds,
    deleteAfterSeconds: keepSeconds,
  };
  // Exclusive: one job of a queue waits or runs, in the whole cluster.
  await boss.createQueue(name, { ...options, policy: 'exclusive' });
  await boss.updateQueue(name, options);
  if (cron !== undefined) await boss.schedule(name, cron, null, { tz: 'UTC', missed: 'once' });
}

/** Of queues that this version does not know. The queues themselves stay: an older node may be at work on one. */
async function forgetOldSchedules(boss: PgBoss): Promise<void> {
  for (const { name } of await boss.getSchedules()) {
    if (!Object.hasOwn(maintenanceQueues, name) || maintenanceQueue(name as QueueName).cron === undefined)
      await boss.unschedule(name);
  }
}

/** pg-boss builds some indexes of an upgrade in the background; only this program's owner role may. */
async function indexesBuilt(boss: PgBoss): Promise<void> {
  for (;;) {
    const open = (await boss.getBamStatus()).filter(({ status }) => status === 'pending' || status === 'in_progress');
    if (open.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** By which primaries claim a pass over the queues; the version itself is the owner’s. */
const passColumns = 'cron_on, flow_on, monitor_backoff_on';
/** What a pass notes beside a schedule that was due; when it is due is the owner’s. */
const firedColumns = 'last_job_id';

/**
 * Rows only. One transaction, and one at a time: PostgreSQL refuses to change the rights of one table twice at once (“tuple
 * concurrently updated”).
 */
async function grant(pool: pg.Pool, runtimeRole: string): Promise<void> {
  const { rows } = await pool.query<{ role: string }>('select quote_ident($1) as role', [runtimeRole]);
  const role = rows[0]?.role ?? '';
  await pool.query(`select pg_advisory_xact_lock(hashtextextended('hsm-driver maintenance rights', 0));
    grant usage on schema ${bossSchema} to ${role};
    grant select, insert, update, delete on all tables in schema ${bossSchema} to ${role};
    grant usage on all sequences in schema ${bossSchema} to ${role};
    revoke insert, update, delete on ${bossSchema}.version, ${bossSchema}.schedule from ${role};
    grant update (${passColumns}) on ${bossSchema}.version to ${role};
    grant update (${firedColumns}) on ${bossSchema}.schedule to ${role}`);
}
