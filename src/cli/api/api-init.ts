import { createOrganisation } from '../../api/organisations.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';
import { baseUrlOf, sdkProgram, writeClientFile } from './client-file.ts';

/** The first organisation and its first account; everything after it can be made through the API itself. */
export const command: Command = {
  name: 'api init',
  summary: 'create an organisation with a service account, and a client file to use it',
  example: 'hsm-driver api init --config api.yaml --organisation "Example Bank" --client-file client.json',
  options: [
    { name: 'organisation', summary: 'name of the organisation', required: true, kind: 'text' },
    {
      name: 'client-file',
      summary: 'file to make, mode 0600: address, token, credential and its private key',
      required: true,
      kind: 'text',
    },
    {
      name: 'url',
      summary: 'address that applications use; the listener’s own when absent',
      required: false,
      kind: 'text',
    },
  ],
  async run({ config, text }) {
    const file = text.get('client-file') ?? '';
    const client = await withApiDatabase(config, 'api init', async (pool, configuration) =>
      writeClientFile(file, text.get('url') ?? baseUrlOf(configuration), (credentialPublicKey) =>
        createOrganisation(pool, { name: text.get('organisation') ?? '', credentialPublicKey }),
      ),
    );
    process.stdout.write(
      `Organisation ${client.orgId}, its service account’s token and private key are in ${file}. Keep it secret.\n\n` +
        `${sdkProgram(file)}\n// Where the API’s certificate is of a private CA: NODE_EXTRA_CA_CERTS=ca.pem node program.mjs\n`,
    );
  },
};
