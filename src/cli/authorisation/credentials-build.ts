import { pinnableCredentials } from '../../api/service-accounts/pinnable-credentials.ts';
import {
  type ListedCredential,
  pinnedOperations,
  readCredentialList,
} from '../../shared/credential-list/credential-list.ts';
import { listChanges, listText, nextList, withoutTheGone } from '../../shared/credential-list/next-list.ts';
import { CodedError } from '../../shared/errors.ts';
import { withApiDatabase } from '../api/api-database.ts';
import type { Command } from '../command.ts';
import { readListFile, writeListFile } from './list-file.ts';

/**
 * `hsm-driver credentials build`: a draft from what the signing API says. The operators who approve it compare the
 * public keys with what the credentials’ owners told them by another way: the API is what the list protects against.
 */
export const command: Command = {
  name: 'credentials build',
  summary: 'draft the next list of credentials from the signing API’s database, for operators to compare and approve',
  example: 'hsm-driver credentials build --config api.yaml --key-store main --base list-1.json --out list-2.json',
  options: [
    { name: 'key-store', summary: 'id of the key store', required: true, kind: 'text' },
    { name: 'base', summary: 'the list in force (credentials show --out)', required: false, kind: 'text' },
    { name: 'out', summary: 'file to write', required: true, kind: 'text' },
  ],
  async run({ config, text }) {
    const keyStore = text.get('key-store') ?? '';
    const baseFile = text.get('base');
    const base = baseFile === undefined ? undefined : readCredentialList(readListFile(baseFile));
    const found = await withApiDatabase(config, 'credentials build', async (pool, { keyStores }) => {
      if (!keyStores.some(({ id }) => id === keyStore))
        throw new CodedError('NOT_FOUND', `key store ${keyStore} in ${config}`);
      return await pinnableCredentials(pool);
    });
    const credentials = found.map(
      ({ id, organisation, name, publicKey, may }): ListedCredential => ({
        id,
        organisation,
        name,
        publicKey,
        operations: pinnedOperations.filter(may),
      }),
    );
    const list = nextList(keyStore, base, withoutTheGone(base?.credentials ?? [], credentials));
    process.stdout.write(`${listChanges(base, list).join('\n')}\n`);
    writeListFile(text.get('out') ?? '', listText(list), list);
  },
};
