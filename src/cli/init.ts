import { readFileSync } from 'node:fs';
import { type CreatedOrganisation, createOrganisation } from '../api/organisations.ts';
import { apiConfiguration } from '../shared/configuration/api.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { isUnreachable, unreachable } from '../shared/database/faults.ts';
import { checkSchema } from '../shared/database/migrate.ts';
import { createPool } from '../shared/database/pool.ts';
import { apiSchema } from '../shared/database/schema/api.ts';
import { CodedError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import type { Command } from './command.ts';

/** The first account: everything after it can be made through the API itself. */
export const command: Command = {
  name: 'init',
  summary: 'create an organisation with a service account, its access token and its credential',
  options: [
    { name: 'organisation', summary: 'name of the organisation', required: true, kind: 'text' },
    {
      name: 'credential-public-key',
      summary: 'PEM file: the public key that signs user actions',
      required: true,
      kind: 'text',
    },
  ],
  async run({ config, text }) {
    const created = await runInit({
      config,
      organisation: text.get('organisation') ?? '',
      credentialPublicKeyFile: text.get('credential-public-key') ?? '',
    });
    process.stdout.write(`${JSON.stringify(created, null, 2)}\n`);
  },
};

/** @throws CONFIG_*, SECRET_FILE_*, SCHEMA_*, DATABASE_UNREACHABLE, CREDENTIAL_REFUSED */
export async function runInit(input: {
  readonly config: string;
  readonly organisation: string;
  readonly credentialPublicKeyFile: string;
}): Promise<CreatedOrganisation> {
  const { database, log } = loadConfiguration(input.config, apiConfiguration);
  const credentialPublicKey = readPublicKey(input.credentialPublicKeyFile);
  const pool = createPool(
    database,
    { applicationName: 'hsm-driver init', max: 1, durability: 'durable' },
    createLog(log.level, { process: 'init' }),
  );
  try {
    await checkSchema(pool, database, apiSchema);
    return await createOrganisation(pool, { name: input.organisation, credentialPublicKey });
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end();
  }
}

function readPublicKey(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CREDENTIAL_REFUSED', `${file} cannot be read (${code})`, { cause });
  }
}
