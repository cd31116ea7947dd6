import type pg from 'pg';
import { type ApiConfiguration, apiConfiguration } from '../../shared/configuration/api.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { isUnreachable, unreachable } from '../../shared/database/faults.ts';
import { checkSchema } from '../../shared/database/migrate.ts';
import { createPool } from '../../shared/database/pool.ts';
import { apiSchema } from '../../shared/database/schema/api.ts';
import { createLog } from '../../shared/log.ts';

/**
 * For commands that work on the signing API's database beside its processes.
 * @throws CONFIG_*, SECRET_FILE_*, SCHEMA_*, DATABASE_UNREACHABLE, and what `work` throws
 */
export async function withApiDatabase<Result>(
  configFile: string,
  command: string,
  work: (pool: pg.Pool, configuration: ApiConfiguration) => Promise<Result>,
): Promise<Result> {
  const configuration = loadConfiguration(configFile, apiConfiguration);
  const { database, log } = configuration;
  const options = { applicationName: `hsm-driver ${command}`, max: 1, durability: 'durable' } as const;
  const pool = createPool(database, options, createLog(log.level, { process: command }));
  try {
    await checkSchema(pool, database, apiSchema);
    return await work(pool, configuration);
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end();
  }
}
