import type pg from 'pg';
import { type DriverConfiguration, driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { isUnreachable, unreachable } from '../shared/database/faults.ts';
import { checkSchema } from '../shared/database/migrate.ts';
import { createPool } from '../shared/database/pool.ts';
import { driverSchema } from '../shared/database/schema/driver.ts';
import { createLog } from '../shared/log.ts';

/**
 * For commands that work on the driver database beside its nodes, as the runtime role.
 * @throws CONFIG_*, SECRET_FILE_*, SCHEMA_*, DATABASE_UNREACHABLE, and what `work` throws
 */
export async function withDriverDatabase<Result>(
  configFile: string,
  command: string,
  work: (pool: pg.Pool, configuration: DriverConfiguration) => Promise<Result>,
): Promise<Result> {
  const configuration = loadConfiguration(configFile, driverConfiguration);
  const { database, log } = configuration;
  const options = { applicationName: `hsm-driver ${command}`, max: 1, durability: 'durable' } as const;
  const pool = createPool(database, options, createLog(log.level, { process: command }));
  try {
    await checkSchema(pool, database, driverSchema);
    return await work(pool, configuration);
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end();
  }
}
