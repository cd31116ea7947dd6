import type { Machine } from '../measure/machine.ts';
import { summary } from '../measure/summary.ts';
import { type Figure, isMet, type Section, type Target } from './figures.ts';

const headings = ['', 'median', 'least', 'most', '± spread', 'target', ''] as const;

/** A section as text, one line a figure, every figure with its spread. */
export function tableText({ title, about, figures }: Section): string {
  const rows = [headings, ...figures.map(cells)];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return `${title}\n  ${about}\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

function cells({ what, unit, samples, target }: Figure): string[] {
  const { median, least, most, spread } = summary(samples);
  return [
    what,
    `${rounded(median)} ${unit}`,
    rounded(least),
    rounded(most),
    samples.length > 1 ? `${(spread * 100).toFixed(1)} %` : 'one sample',
    target === undefined ? '' : targetText(target, unit),
    target === undefined ? '' : isMet(target, median) ? 'met' : 'NOT MET',
  ];
}

export function targetText(target: Target, unit: Figure['unit']): string {
  return 'least' in target ? `≥ ${target.least} ${unit}` : `≤ ${target.most} ${unit}`;
}

export function rounded(value: number): string {
  if (Number.isNaN(value)) return '?';
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3);
}

export function machineText(machine: Machine): string {
  const { date, commit, cpu, cores, memoryGb, system, node, openssl, module, loadBefore } = machine;
  return [
    `${date}, ${commit}`,
    `${cpu}, ${cores} cores, ${memoryGb} GB; ${system}`,
    `Node ${node}, OpenSSL ${openssl}, ${module}; load average before: ${loadBefore}`,
    '± spread: half the distance between the quartiles, as a share of the median',
  ].join('\n');
}
