import { type FailedRequest, readFailedRequests } from '../../api/queue/failed-requests.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { table } from '../table.ts';
import { withApiDatabase } from './api-database.ts';

const usualLimit = 50;
const largestLimit = 10_000;

export const command: Command = {
  name: 'api requests failed',
  summary: 'list the requests that failed for good, with their reasons, the newest first',
  example: 'hsm-driver api requests failed --config api.yaml --limit 20',
  options: [
    { name: 'limit', summary: `how many at most; usually ${usualLimit}`, required: false, kind: 'text' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const limit = Number(text.get('limit') ?? usualLimit);
    if (!Number.isInteger(limit) || limit < 1 || limit > largestLimit) {
      throw new CodedError('OPTION_INVALID', `--limit is a number from 1 to ${largestLimit}`);
    }
    await withApiDatabase(config, 'api requests', async (pool) => {
      const failed = await readFailedRequests(pool, limit);
      process.stdout.write(switches.has('json') ? `${JSON.stringify(failed)}\n` : shown(failed));
    });
  },
};

function shown(failed: readonly FailedRequest[]): string {
  if (failed.length === 0) return 'No request failed for good.\n';
  const rows = failed.map((one) => [
    one.failedAt.toISOString(),
    one.kind,
    one.id,
    one.organisation,
    one.code,
    String(one.attempts),
    one.reason,
  ]);
  return table([['failed at', 'kind', 'request', 'organisation', 'code', 'attempts', 'reason'], ...rows]);
}
