import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { apiConfiguration } from '../shared/configuration/api.ts';
import { driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import type { DatabaseConfiguration } from '../shared/configuration/sections.ts';
import { migrate } from '../shared/database/migrate.ts';
import { apiSchema } from '../shared/database/schema/api.ts';
import { driverSchema } from '../shared/database/schema/driver.ts';
import { createLog } from '../shared/log.ts';
import { installMaintenance } from '../shared/maintenance/install.ts';
import type { Command } from './command.ts';

/** The only thing that changes schemas. Safe to run twice and by several at once. */
export const command: Command = {
  name: 'migrate',
  summary: 'bring the database of a driver or API configuration to this version’s schema',
  example: 'hsm-driver migrate --config node-1.yaml',
  options: [],
  async run({ config }) {
    const purpose = kindOf(config);
    const { database } =
      purpose === 'api' ? loadConfiguration(config, apiConfiguration) : loadConfiguration(config, driverConfiguration);
    const applied = purpose === 'api' ? await migrate(database, apiSchema) : await migrateDriver(database);
    const done = applied.length === 0 ? 'is up to date' : `migrated: ${applied.join(', ')}`;
    process.stdout.write(`database ${database.name} ${done}\n`);
  },
};

/** Its own tables, then those of the maintenance queues. */
async function migrateDriver(database: DatabaseConfiguration): Promise<string[]> {
  const applied = await migrate(database, driverSchema);
  return [...applied, ...(await installMaintenance(database, createLog('warn', {})))];
}

/** Which schema to check the file against; a file that is neither is reported by the driver's schema. */
function kindOf(file: string): 'api' | 'driver' {
  try {
    const kind = (parse(readFileSync(file, 'utf8')) as { kind?: unknown } | null)?.kind;
    return kind === 'api' ? 'api' : 'driver';
  } catch {
    return 'driver';
  }
}
