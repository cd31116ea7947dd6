import type pg from 'pg';
import type { PgBoss } from 'pg-boss';
import { driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { checkSchema } from '../../shared/database/migrate.ts';
import { createPool } from '../../shared/database/pool.ts';
import { driverSchema } from '../../shared/database/schema/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { createLog } from '../../shared/log.ts';
import { openBossForCommand } from '../../shared/maintenance/boss.ts';
import { isQueueName, type QueueName, queueNames } from '../../shared/maintenance/queues.ts';

/**
 * The maintenance queues of a driver configuration, for one command.
 * @throws DATABASE_UNREACHABLE, SCHEMA_TOO_OLD
 */
export async function withMaintenanceQueue(
  configFile: string,
  use: (boss: PgBoss, pool: pg.Pool) => Promise<void>,
): Promise<void> {
  const { database } = loadConfiguration(configFile, driverConfiguration);
  const log = createLog('silent', {});
  const pool = createPool(database, { applicationName: 'hsm-driver jobs', durability: 'durable', max: 2 }, log);
  const boss = openBossForCommand(pool);
  // What matters is thrown by the call that meets it.
  boss.on('error', () => {});
  try {
    await checkSchema(pool, database, driverSchema);
    await started(boss, database.name);
    await use(boss, pool);
  } finally {
    await boss.stop({ graceful: false });
    await pool.end();
  }
}

async function started(boss: PgBoss, database: string): Promise<void> {
  try {
    await boss.start();
  } catch (cause) {
    throw new CodedError('SCHEMA_TOO_OLD', `${database} (${(cause as Error).message})`, { cause });
  }
}

/** @throws OPTION_INVALID */
export function queueNamed(name: string | undefined): QueueName {
  if (name !== undefined && isQueueName(name)) return name;
  throw new CodedError('OPTION_INVALID', `--job is one of ${queueNames.join(', ')}`);
}
