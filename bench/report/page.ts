import type { Machine } from '../measure/machine.ts';
import { summary } from '../measure/summary.ts';
import { type Figure, isMet, type Report, type Section } from './figures.ts';
import { rounded, targetText } from './table.ts';

const head = `# What was measured

Printed by \`npm run bench -- --write\`; do not edit. What it means: [performance.md](performance.md). Every figure is the
median of its samples with the least, the most, and the spread: half the distance between the quartiles, as a share of the
median. Sections come from runs of their own; under each stands where and when.
`;

/** The page with the sections of this run; those that it did not measure stay as they are. */
export function pageWith(before: string, { machine, sections }: Report): string {
  const parts = new Map<string, string>();
  for (const part of before.split(/^(?=## )/m).slice(1)) parts.set(titleOf(part), part.trimEnd());
  for (const section of sections) parts.set(section.title, sectionText(section, machine));
  return [head, ...parts.values()]
    .join('\n')
    .replace(/\n+(?=## )/g, '\n\n')
    .trimEnd()
    .concat('\n');
}

function titleOf(part: string): string {
  return part.slice('## '.length, part.indexOf('\n'));
}

function sectionText({ title, about, figures }: Section, machine: Machine): string {
  const { date, commit, cpu, cores, memoryGb, system, node, openssl, module, loadBefore } = machine;
  const where = `${date.slice(0, 16).replace('T', ' ')} UTC, ${commit}; ${cpu}, ${cores} cores, ${memoryGb} GB, ${system}; Node ${node}, OpenSSL ${openssl}, ${module}; load average before the run ${loadBefore}.`;
  const columns = ['', 'median', 'least', 'most', 'spread', 'samples', 'target', ''];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const table = [line(columns), line(columns.map(() => '---')), ...figures.map((figure) => line(cells(figure)))];
  return `## ${title}\n\n${about}\n\n${table.join('\n')}\n\n${where}\n`;
}

function cells({ what, unit, samples, target }: Figure): string[] {
  const { median, least, most, spread, samples: count } = summary(samples);
  return [
    what,
    `${rounded(median)} ${unit}`,
    rounded(least),
    rounded(most),
    count > 1 ? `± ${(spread * 100).toFixed(1)} %` : '',
    String(count),
    target === undefined ? '' : targetText(target, unit),
    target === undefined ? '' : isMet(target, median) ? 'met' : '**missed**',
  ];
}
