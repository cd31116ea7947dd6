import type { FaultResult } from './run-fault.ts';

/** The table of `npm run test:faults`, for a terminal and for docs/failover.md. Pure. */
const heads = [
  'fault',
  'slowest request s',
  'recovered after s',
  'next worker polls after s',
  'state during',
  'state after',
  'verdict',
];

export function tableText(results: readonly FaultResult[]): string {
  const rows = [heads, ...results.map(row)];
  const widths = heads.map((_head, at) => Math.max(...rows.map((cells) => cells[at]?.length ?? 0)));
  return rows
    .map((cells) =>
      cells
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function tableMarkdown(results: readonly FaultResult[]): string {
  const lines = [heads, heads.map(() => '---'), ...results.map(row)];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function row({
  name,
  slowestMs,
  recoveredMs,
  replacedMs = Number.NaN,
  during,
  after,
  problems,
  requests,
  signed,
  retried,
}: FaultResult): string[] {
  const verdict =
    problems.length > 0
      ? 'FAILED'
      : `${requests === signed ? `all ${signed}` : `${signed} of ${requests}`} signed${requests === signed ? '' : ', the others refused or failed'}${retried > 0 ? `, ${retried} at the second try` : ''}`;
  return [
    name,
    seconds(slowestMs),
    seconds(recoveredMs),
    seconds(replacedMs),
    shortened(during).join(', '),
    after,
    verdict,
  ];
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? (ms / 1_000).toFixed(1) : '–';
}

/** A slot that starts over and over tells the same again and again: each sight once. */
function shortened(sights: readonly string[]): readonly string[] {
  return [...new Set(sights)];
}
