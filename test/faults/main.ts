import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../../scripts/local/places.ts';
import { createReleasers } from '../../src/shared/releasers.ts';
import { compareDatabases } from './compare-databases.ts';
import { documentation } from './documentation.ts';
import { openFaultSystem } from './fault-system.ts';
import { faults } from './faults.ts';
import { type FaultResult, runFault } from './run-fault.ts';
import { tableText } from './table.ts';

/**
 * `npm run test:faults`: every fault of the table on real parts, one after the other.
 *
 *   --only TEXT   rows whose name contains it; several: --only TEXT --only TEXT
 *   --write       keeps the table in docs/failover.md
 */
const { values: options } = parseArgs({
  options: { only: { type: 'string', multiple: true, default: [] }, write: { type: 'boolean', default: false } },
});
const chosen = faults.filter(
  ({ name }) => options.only.length === 0 || options.only.some((text) => name.includes(text)),
);

const results: FaultResult[] = [];
const releasers = createReleasers((what, error) => say(`${what}: ${(error as Error).message}`));
let broken = 0;
let agreed = 0;
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());

try {
  const system = await openFaultSystem({
    teardown: (handler) => releasers.add('clean-up', handler, 30_000),
    fail: (message) => say(message),
  });
  for (const fault of chosen) {
    if (interrupted.signal.aborted) break;
    const obstacle = await fault.impossible?.();
    if (obstacle !== undefined) {
      say(`skip   ${fault.name}: ${obstacle}`);
      continue;
    }
    const result = await runFault(system, fault, { timed: true });
    results.push(result);
    say(tell(result));
  }
  const { compared, problems } = await compareDatabases(system);
  say(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${compared} answers are what the journal has`);
  for (const problem of problems.slice(0, 5)) say(`    ${problem}`);
  if (problems.length > 0 || compared === 0) broken += 1;
  else agreed += 1;
} catch (error) {
  broken += 1;
  say((error as Error).stack ?? String(error));
} finally {
  await releasers.release();
}
const failed = results.filter(({ problems }) => problems.length > 0).length;
say(`\n${tableText(results)}`);
if (options.write && options.only.length === 0 && failed + broken === 0 && results.length === chosen.length)
  writeFileSync(join(repository, 'docs/failover.md'), documentation(results));
say(
  `\n${results.length - failed + agreed} passed, ${failed + broken} failed, ${chosen.length - results.length} skipped`,
);
process.exit(failed + broken === 0 ? 0 : 1);

function tell({ name, problems, slowestMs, during }: FaultResult): string {
  const shown = problems.slice(0, 5).map((one) => `    ${one}`);
  const more = problems.length > shown.length ? [`    and ${problems.length - shown.length} more`] : [];
  const head = `${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name}: ${(slowestMs / 1_000).toFixed(1)} s, ${during.join(' → ')}`;
  return [head, ...shown, ...more].join('\n');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
