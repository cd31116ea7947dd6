import { writeFileSync } from 'node:fs';
import { readCredentialList } from '../../shared/credential-list/credential-list.ts';
import { listChanges } from '../../shared/credential-list/next-list.ts';
import { newestList } from '../../shared/credential-list/stored-lists.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { listAuthority } from './list-authority.ts';

export const command: Command = {
  name: 'credentials show',
  summary:
    'show the newest list of credentials in the driver database that the operators approved; status says which one a node believes',
  example: 'hsm-driver credentials show --config node-1.yaml --out list-1.json',
  options: [
    { name: 'out', summary: 'also write it to this file, byte for byte', required: false, kind: 'text' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const stored = await withDriverDatabase(config, 'credentials show', (pool, configuration) =>
      newestList(pool, listAuthority(configuration)),
    );
    if (stored === undefined) throw new CodedError('NOT_FOUND', 'a list of credentials that the operators approved');
    const list = readCredentialList(stored.text);
    const out = text.get('out');
    if (out !== undefined) writeFileSync(out, stored.text, { flag: 'wx' });
    const lines = [`version ${list.version} of ${list.createdAt}`, ...listChanges(undefined, list)];
    process.stdout.write(switches.has('json') ? `${JSON.stringify(list)}\n` : `${lines.join('\n')}\n`);
  },
};
