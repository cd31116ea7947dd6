import { readCredentialList } from '../../shared/credential-list/credential-list.ts';
import { listChanges } from '../../shared/credential-list/next-list.ts';
import type { Command } from '../command.ts';
import { readListFile } from './list-file.ts';

export const command: Command = {
  name: 'credentials diff',
  summary: 'show what one list of credentials changes of another',
  example: 'hsm-driver credentials diff --from list-1.json --to list-2.json',
  config: 'not needed',
  options: [
    { name: 'from', summary: 'the older list', required: true, kind: 'text' },
    { name: 'to', summary: 'the newer list', required: true, kind: 'text' },
  ],
  async run({ text }) {
    const [from, to] = ['from', 'to'].map((name) => readCredentialList(readListFile(text.get(name) ?? '')));
    if (from === undefined || to === undefined) throw new Error('both are required');
    const changes = listChanges(from, to);
    const versions = `version ${from.version} to ${to.version}`;
    process.stdout.write(`${[versions, ...(changes.length === 0 ? ['no credential changes'] : changes)].join('\n')}\n`);
  },
};
