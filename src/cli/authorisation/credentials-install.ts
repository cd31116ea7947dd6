import { createHash } from 'node:crypto';
import {
  aboutCredentialList,
  approvedCredentials,
  readCredentialList,
} from '../../shared/credential-list/credential-list.ts';
import { insertList, newestList } from '../../shared/credential-list/stored-lists.ts';
import { CodedError } from '../../shared/errors.ts';
import { readOperators } from '../../shared/orders/operators.ts';
import { openLocalPolicy } from '../../worker/policy/local-policy.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { carryOut } from './carry-out.ts';
import { listAuthority } from './list-authority.ts';
import { readListFile } from './list-file.ts';
import { orderOption } from './order-option.ts';

/** `hsm-driver credentials install`: for all nodes of the key store; each checks the order itself before it believes. */
export const command: Command = {
  name: 'credentials install',
  summary: 'put a list of credentials in force that the operators approved',
  example: 'hsm-driver credentials install --config node-1.yaml --list list-2.json --order order.json',
  options: [
    { name: 'list', summary: 'the list’s file, as it was approved', required: true, kind: 'text' },
    { ...orderOption('credentials'), required: true },
  ],
  async run({ config, text }) {
    const list = readListFile(text.get('list') ?? '');
    const { version, credentials } = readCredentialList(list);
    await withDriverDatabase(config, 'credentials install', async (pool, configuration) => {
      const { keyStore, operators, stateDirectory, node } = configuration;
      if (operators === undefined) throw new CodedError('ORDER_NOT_CHECKED', text.get('order') ?? '');
      const authority = listAuthority(configuration);
      const seen = openLocalPolicy(stateDirectory, 'command').seen.credentialList;
      if (seen !== undefined && seen.version >= version)
        throw new CodedError('CREDENTIAL_LIST_OLD', `version ${version}; this node has seen ${seen.version}`);
      const sha256 = createHash('sha256').update(list, 'utf8').digest('hex');
      const errand = {
        configuration,
        command: 'credentials install',
        about: aboutCredentialList(list),
        orderFile: text.get('order'),
        events: [
          { kind: 'credentials-installed', listVersion: version, credentials: credentials.length, list: sha256 },
        ],
      } as const;
      await carryOut(pool, errand, async (client, order) => {
        if (order === undefined) throw new Error('operators are configured');
        // As a node will do it: what it would refuse must not be installed.
        approvedCredentials(list, order, keyStore, readOperators(operators));
        await insertList(client, authority, { text: list, order, node });
      });
      // Nothing in the database keeps two commands from installing two lists of one version at the same moment.
      const installed = await newestList(pool, authority, version);
      if (installed?.text !== list)
        throw new CodedError('CREDENTIAL_LIST_OLD', `version ${version}; another was installed at the same moment`);
      process.stdout.write(
        `Version ${version} with ${credentials.length} credentials is in force on every node that runs, within a second.\n`,
      );
    });
  },
};
