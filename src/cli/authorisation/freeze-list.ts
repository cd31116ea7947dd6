import { listFreezes, type StoredFreeze } from '../../shared/freezes/freeze.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { table } from '../table.ts';

export const command: Command = {
  name: 'freeze list',
  summary: 'list what is frozen, by whom and why; with --all also what was thawed',
  example: 'hsm-driver freeze list --config node-1.yaml',
  options: [
    { name: 'all', summary: 'also what was thawed', required: false, kind: 'switch' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ config, switches }) {
    const freezes = await withDriverDatabase(config, 'freeze list', (pool) => listFreezes(pool));
    const shown = switches.has('all') ? freezes : freezes.filter(({ thawedAt }) => thawedAt === undefined);
    process.stdout.write(switches.has('json') ? `${JSON.stringify(shown)}\n` : table([heads, ...shown.map(row)]));
  },
};

const heads = ['FREEZE', 'SCOPE', 'SUBJECT', 'AT', 'BY', 'STATE', 'REASON'];

function row({ id, scope, subject, frozenAt, node, reason, thawedAt }: StoredFreeze): string[] {
  const state = thawedAt === undefined ? 'frozen' : `thawed ${thawedAt.toISOString()}`;
  return [id, scope, subject, frozenAt.toISOString(), node, state, reason];
}
