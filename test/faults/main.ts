import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../../scripts/local/places.ts';
import { fromBuild } from '../../scripts/local/processes.ts';
import { createReleasers } from '../../src/shared/releasers.ts';
import { openNetworkHosts } from '../support/network-hosts.ts';
import type { SystemUser } from '../support/system.ts';
import { compareDatabases } from './compare-databases.ts';
import { documentation, withRepeats } from './documentation.ts';
import type { Fault } from './fault.ts';
import { type FaultSystem, openFaultSystem } from './fault-system.ts';
import { faults } from './faults.ts';
import { hostFaults } from './host-faults.ts';
import { type Repeated, repeatsOf, repeatsText } from './repeats.ts';
import { type FaultResult, runFault } from './run-fault.ts';
import { tableText } from './table.ts';

/**
 * `npm run test:faults`: every fault of the table on real parts, one after the other.
 *
 *   --only TEXT   rows whose name contains it; several: --only TEXT --only TEXT
 *   --repeat N    each of them N times: the slowest and the median of all
 *   --write       keeps what was measured in docs/failover.md
 */
const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    repeat: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const times = Number(options.repeat);
const page = join(repository, 'docs/failover.md');
const isChosen = ({ name }: Fault) => options.only.length === 0 || options.only.some((text) => name.includes(text));

/** Most rows share a system with a wire at each place; the rest need hosts. */
const groups: readonly {
  readonly rows: readonly Fault[];
  open(user: SystemUser): Promise<FaultSystem | string>;
}[] = [
  { rows: faults.filter(isChosen), open: (user) => openFaultSystem(user, { program: fromBuild }) },
  {
    rows: hostFaults.filter(isChosen),
    async open(user) {
      const hosts = await openNetworkHosts(user, 2);
      return typeof hosts === 'string' ? hosts : await openFaultSystem(user, { hosts, program: fromBuild });
    },
  },
];

const results: FaultResult[] = [];
const repeated: Repeated[] = [];
let broken = 0;
let agreed = 0;
let skipped = 0;
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());

for (const { rows, open } of groups) {
  if (rows.length === 0) continue;
  const releasers = createReleasers((what, error) => say(`${what}: ${(error as Error).message}`));
  try {
    const system = await open({
      teardown: (handler) => releasers.add('clean-up', handler, 30_000),
      fail: (message) => say(message),
    });
    if (typeof system === 'string') for (const { name } of rows) skip(name, system);
    else await runRows(system, rows);
  } catch (error) {
    broken += 1;
    say((error as Error).stack ?? String(error));
  } finally {
    await releasers.release();
  }
}

const failed = results.filter(({ problems }) => problems.length > 0).length;
say(`\n${times > 1 ? repeatsText(repeated) : tableText(results)}`);
if (options.write && failed + broken + skipped === 0) {
  if (times > 1) writeFileSync(page, withRepeats(readFileSync(page, 'utf8'), repeated));
  else if (options.only.length === 0) writeFileSync(page, documentation(results, readFileSync(page, 'utf8')));
}
say(`\n${results.length - failed + agreed} passed, ${failed + broken} failed, ${skipped} skipped`);
process.exit(failed + broken === 0 ? 0 : 1);

async function runRows(system: FaultSystem, rows: readonly Fault[]): Promise<void> {
  for (const fault of rows) {
    const obstacle = await fault.impossible?.();
    if (obstacle !== undefined) {
      skip(fault.name, obstacle);
      continue;
    }
    const runs: FaultResult[] = [];
    while (runs.length < times && !interrupted.signal.aborted) {
      const result = await runFault(system, fault, { timed: true });
      runs.push(result);
      say(tell(result));
    }
    results.push(...runs);
    if (times > 1) repeated.push(repeatsOf(fault.name, runs));
  }
  const { compared, problems } = await compareDatabases(system);
  say(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${compared} answers are what the journal has`);
  for (const problem of problems.slice(0, 5)) say(`    ${problem}`);
  if (problems.length > 0 || compared === 0) broken += 1;
  else agreed += 1;
}

function skip(name: string, why: string): void {
  skipped += 1;
  say(`skip   ${name}: ${why}`);
}

function tell({ name, problems, slowestMs, replacedMs, during }: FaultResult): string {
  const shown = problems.slice(0, 5).map((one) => `    ${one}`);
  const more = problems.length > shown.length ? [`    and ${problems.length - shown.length} more`] : [];
  const replaced = replacedMs === undefined ? '' : `next worker polls after ${Math.round(replacedMs)} ms, `;
  const head = `${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name}: ${(slowestMs / 1_000).toFixed(1)} s, ${replaced}${during.join(' → ')}`;
  return [head, ...shown, ...more].join('\n');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
