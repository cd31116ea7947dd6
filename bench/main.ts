import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { repository } from '../scripts/local/places.ts';
import { fromSources, type Program } from '../scripts/local/processes.ts';
import { createReleasers } from '../src/shared/releasers.ts';
import { machineFacts } from './measure/machine.ts';
import { readPlan } from './plan.ts';
import { comparisonText } from './report/compare.ts';
import type { Report, Section } from './report/figures.ts';
import { pageWith } from './report/page.ts';
import { machineText, tableText } from './report/table.ts';
import { measure } from './sections/index.ts';
import { openStage } from './stage.ts';

/**
 * `npm run bench`: the system against its own HSM, on this machine.
 *
 *   --quick             two minutes instead of fifteen
 *   --only SECTION      one section; several: --only raw,system; database-size only so
 *   --rounds N          how often each side is measured
 *   --soak              an hour of load, and whether memory stays flat; --minutes N for less
 *   --built             what `npm run build` made, not the sources
 *   --json FILE         the samples too
 *   --write             put the sections of this run into docs/performance-measured.md; the others stay
 *   --compare FILE      beside an earlier --json
 *   --directory DIR     keep the system's state there
 */
const plan = readPlan(process.argv.slice(2));
const fromBuild: Program = [process.execPath, '--disable-sigusr1', join(repository, 'dist/cli/main.js')];
const { module } = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as { module: string };
const machine = machineFacts(module);
const releasers = createReleasers((what, error) => say(`${what} did not stop: ${(error as Error).message}`));
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());

say(machineText(machine));
const sections: Section[] = [];
try {
  const directory = plan.directory === undefined ? temporaryDirectory() : resolve(plan.directory);
  const program = plan.built ? fromBuild : fromSources;
  const stage = await openStage(plan, directory, module, releasers, program);
  for (const name of plan.sections) {
    if (interrupted.signal.aborted) break;
    const began = performance.now();
    const section = await measure(name, stage, say);
    sections.push(section);
    say(`\n${tableText(section)}\n  measured in ${Math.round((performance.now() - began) / 1_000)} s`);
  }
} catch (error) {
  process.exitCode = 1;
  say(`\n${(error as Error).stack}`);
} finally {
  await releasers.release();
}
const report: Report = { machine, sections };
if (plan.json !== undefined) writeFileSync(plan.json, `${JSON.stringify(report, undefined, 2)}\n`);
if (plan.write) {
  const page = join(repository, 'docs/performance-measured.md');
  writeFileSync(page, pageWith(existsSync(page) ? readFileSync(page, 'utf8') : '', report));
}
if (plan.compare !== undefined) {
  say(`\n${comparisonText(JSON.parse(readFileSync(plan.compare, 'utf8')) as Report, report)}`);
}
process.exit();

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-bench-'));
  releasers.add('bench directory', () => rmSync(directory, { recursive: true, force: true }), 10_000);
  return directory;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
