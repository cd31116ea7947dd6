import { createApiKeys } from '../../primary/reconciliation/api-keys.ts';
import { type Difference, reconcile } from '../../primary/reconciliation/reconcile.ts';
import { createStoredKeys } from '../../primary/reconciliation/stored-keys.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { startProgress } from '../progress.ts';
import { table } from '../table.ts';

const most = 10_000;

/** The same that the daily job does, for after a promotion or a restore. */
export const command: Command = {
  name: 'reconcile',
  summary: 'compare the keys of the signing API with those of the driver database; exit code 33 when they differ',
  example: 'hsm-driver reconcile --config node-1.yaml',
  options: [{ name: 'json', summary: 'print JSON', required: false, kind: 'switch' }],
  async run({ config, switches }) {
    await withDriverDatabase(config, 'reconcile', async (pool, { api, keyStore }) => {
      if (api === undefined) throw new CodedError('CONFIG_INVALID', 'a rotation node has no access to the API');
      const progress = startProgress('keys compared');
      const found = await reconcile(createApiKeys(api), createStoredKeys(pool, keyStore), {
        signal: new AbortController().signal,
        most,
        onProgress: async ({ apiKeys, storedKeys }) => progress.at(apiKeys + storedKeys),
      }).finally(() => progress.end());
      const { differences, ...counts } = found;
      if (switches.has('json')) process.stdout.write(`${JSON.stringify(found)}\n`);
      else process.stdout.write(`${listed(differences)}${found.apiKeys} keys at the API, ${found.storedKeys} here.\n`);
      const { missingHere, unknownToApi, different } = counts;
      if (missingHere + unknownToApi + different > 0)
        throw new CodedError(
          'DATABASES_DIFFER',
          `${missingHere} missing here, ${unknownToApi} unknown to the API, ${different} different`,
        );
    });
  },
};

function listed(differences: readonly Difference[]): string {
  if (differences.length === 0) return '';
  return table([
    ['difference', 'key', 'detail'],
    ...differences.map(({ kind, keyId, detail }) => [kind, keyId, detail]),
  ]);
}
