import { builtIn } from '../../api/permissions/permissions.ts';
import { readServiceAccounts, type ServiceAccount } from '../../api/service-accounts/service-accounts.ts';
import type { Command } from '../command.ts';
import { table } from '../table.ts';
import { withApiDatabase } from './api-database.ts';
import { chooseOrganisation, organisationOption } from './organisation-option.ts';

export const command: Command = {
  name: 'api service-account list',
  summary: 'list the service accounts of an organisation',
  example: 'hsm-driver api service-account list --config api.yaml --json',
  options: [organisationOption, { name: 'json', summary: 'print JSON', required: false, kind: 'switch' }],
  async run({ config, text, switches }) {
    await withApiDatabase(config, 'api service-account', async (pool) => {
      const accounts = await readServiceAccounts(pool, await chooseOrganisation(pool, text.get('organisation')));
      process.stdout.write(switches.has('json') ? `${JSON.stringify(accounts)}\n` : shown(accounts));
    });
  },
};

function shown(accounts: readonly ServiceAccount[]): string {
  const rows = accounts.map(({ id, name, active, assignments }) => [
    id,
    active ? 'active' : 'disabled',
    name,
    assignments
      .map((one) => one.name ?? builtIn.find((set) => set.id === one.permission)?.name ?? one.permission)
      .join(', '),
  ]);
  return table([['id', 'state', 'name', 'permissions'], ...rows]);
}
