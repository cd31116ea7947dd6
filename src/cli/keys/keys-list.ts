import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { table } from '../table.ts';
import { type KeyFacts, listKeys } from './stored-keys.ts';

const usualLimit = 50;
const largestLimit = 10_000;

export const command: Command = {
  name: 'keys list',
  summary: 'list the wrapped keys of the driver database, in the order of their ids',
  example: 'hsm-driver keys list --config node-1.yaml --status broken',
  options: [
    { name: 'organisation', summary: 'only keys of this organisation', required: false, kind: 'text' },
    { name: 'status', summary: 'only keys that are active, broken or deleted', required: false, kind: 'text' },
    {
      name: 'master-key',
      summary: 'only keys that are wrapped by this master key (mk-…)',
      required: false,
      kind: 'text',
    },
    { name: 'after', summary: 'begin behind this key id: the next page', required: false, kind: 'text' },
    { name: 'limit', summary: `how many at most; usually ${usualLimit}`, required: false, kind: 'text' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const limit = Number(text.get('limit') ?? usualLimit);
    if (!Number.isInteger(limit) || limit < 1 || limit > largestLimit)
      throw new CodedError('OPTION_INVALID', `--limit is a number from 1 to ${largestLimit}`);
    await withDriverDatabase(config, 'keys list', async (pool) => {
      const keys = await listKeys(pool, {
        organisation: text.get('organisation'),
        status: text.get('status'),
        masterKeyId: text.get('master-key'),
        after: text.get('after'),
        limit,
      });
      process.stdout.write(switches.has('json') ? `${JSON.stringify(keys)}\n` : shown(keys, limit));
    });
  },
};

function shown(keys: readonly KeyFacts[], limit: number): string {
  const last = keys.at(-1);
  if (last === undefined) return 'No such key.\n';
  const rows = keys.map(({ keyId, organisation, type, status, masterKeyId, createdAt }) => [
    keyId,
    organisation,
    `${type.scheme}/${type.curve}`,
    status,
    masterKeyId,
    createdAt.toISOString(),
  ]);
  const more = keys.length === limit ? `There may be more: add --after ${last.keyId}\n` : '';
  return table([['key', 'organisation', 'type', 'status', 'master key', 'made at'], ...rows]) + more;
}
