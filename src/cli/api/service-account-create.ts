import { fullAccess } from '../../api/permissions/operations.ts';
import { builtIn, requirePermissionSet } from '../../api/permissions/permissions.ts';
import { insertServiceAccount } from '../../api/service-accounts/service-accounts.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';
import { baseUrlOf, sdkProgram, writeClientFile } from './client-file.ts';
import { chooseOrganisation, organisationOption } from './organisation-option.ts';

export const command: Command = {
  name: 'api service-account create',
  summary: 'create a service account, and a client file to use it',
  example: 'hsm-driver api service-account create --config api.yaml --name backend --client-file backend.json',
  options: [
    { name: 'name', summary: 'name of the account', required: true, kind: 'text' },
    { name: 'client-file', summary: 'file to make, mode 0600', required: true, kind: 'text' },
    {
      name: 'permission',
      summary: `what it may do: ${builtIn.map(({ name }) => JSON.stringify(name)).join(', ')}, or the id of one; all when absent`,
      required: false,
      kind: 'text',
    },
    {
      name: 'url',
      summary: 'address that applications use; the listener’s own when absent',
      required: false,
      kind: 'text',
    },
    organisationOption,
  ],
  async run({ config, text }) {
    const file = text.get('client-file') ?? '';
    await withApiDatabase(config, 'api service-account', async (pool, configuration) => {
      const organisation = await chooseOrganisation(pool, text.get('organisation'));
      const asked = text.get('permission') ?? fullAccess.name;
      const id = builtIn.find(({ name }) => name.toLowerCase() === asked.toLowerCase())?.id ?? asked;
      const permission = await requirePermissionSet(pool, organisation, id);
      await writeClientFile(file, text.get('url') ?? baseUrlOf(configuration), async (publicKey) => {
        const account = { organisation, name: text.get('name') ?? '', publicKey, permissions: [permission.id] };
        const created = await inTransaction(pool, (client) => insertServiceAccount(client, account, Date.now()));
        return { orgId: organisation, ...created };
      });
      process.stdout.write(`Its token and private key are in ${file}. Keep it secret.\n\n${sdkProgram(file)}`);
    });
  },
};
