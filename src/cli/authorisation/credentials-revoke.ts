import { readCredentialList } from '../../shared/credential-list/credential-list.ts';
import { listChanges, listText, nextList } from '../../shared/credential-list/next-list.ts';
import { newestList } from '../../shared/credential-list/stored-lists.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { listAuthority } from './list-authority.ts';
import { writeListFile } from './list-file.ts';

/** `hsm-driver credentials revoke`: drafts the next list. Until it is approved, `freeze` stops the organisation at once. */
export const command: Command = {
  name: 'credentials revoke',
  summary:
    'draft the next list, in which a credential may authorise nothing; freeze the organisation until it is approved',
  example:
    'hsm-driver credentials revoke --config node-1.yaml --credential cr-abcde-fghij-klmnopqrstuvwxyz --out list-3.json',
  options: [
    { name: 'credential', summary: 'id of the credential', required: true, kind: 'text' },
    { name: 'out', summary: 'file to write', required: true, kind: 'text' },
  ],
  async run({ config, text }) {
    const id = text.get('credential') ?? '';
    await withDriverDatabase(config, 'credentials revoke', async (pool, configuration) => {
      const stored = await newestList(pool, listAuthority(configuration));
      const base = stored && readCredentialList(stored.text);
      if (base === undefined || !base.credentials.some((one) => one.id === id))
        throw new CodedError('OPTION_INVALID', `no list in force has a credential ${id}`);
      const credentials = base.credentials.map((one) => (one.id === id ? { ...one, operations: [] } : one));
      const list = nextList(configuration.keyStore, base, credentials);
      process.stdout.write(`${listChanges(base, list).join('\n')}\n`);
      writeListFile(text.get('out') ?? '', listText(list), list);
    });
  },
};
