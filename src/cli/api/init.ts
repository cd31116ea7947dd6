import { readFileSync } from 'node:fs';
import { type CreatedOrganisation, createOrganisation } from '../../api/organisations.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';

/** The first account: everything after it can be made through the API itself. */
export const command: Command = {
  name: 'init',
  summary: 'create an organisation for a public key that is there already; see also api init',
  example: 'hsm-driver init --config api.yaml --organisation "Example Bank" --credential-public-key credential.pem',
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
  const credentialPublicKey = readPublicKey(input.credentialPublicKeyFile);
  return await withApiDatabase(input.config, 'init', (pool) =>
    createOrganisation(pool, { name: input.organisation, credentialPublicKey }),
  );
}

function readPublicKey(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CREDENTIAL_REFUSED', `${file} cannot be read (${code})`, { cause });
  }
}
