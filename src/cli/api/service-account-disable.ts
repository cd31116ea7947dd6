import { setServiceAccountActive } from '../../api/service-accounts/service-accounts.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';
import { chooseOrganisation, organisationOption } from './organisation-option.ts';

export const command: Command = {
  name: 'api service-account disable',
  summary: 'refuse a service account’s calls from now on',
  example: 'hsm-driver api service-account disable --config api.yaml --id us-abcde-fghij-klmnopqrstuvwxyz',
  options: [{ name: 'id', summary: 'id of the account (us-…)', required: true, kind: 'text' }, organisationOption],
  async run({ config, text }) {
    const id = text.get('id') ?? '';
    await withApiDatabase(config, 'api service-account', async (pool) => {
      const organisation = await chooseOrganisation(pool, text.get('organisation'));
      await inTransaction(pool, (client) => setServiceAccountActive(client, organisation, id, false));
    });
    process.stdout.write(`Service account ${id} is disabled.\n`);
  },
};
