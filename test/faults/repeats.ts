import type { FaultResult } from './run-fault.ts';

/** One fault many times: of each time the slowest request, and how long the next worker took. Pure. */
export interface Repeated {
  readonly name: string;
  readonly times: number;
  readonly requests: number;
  readonly signed: number;
  readonly medianMs: number;
  readonly slowestMs: number;
  /** Where the fault is the end of a worker. */
  readonly replaced?: { readonly medianMs: number; readonly slowestMs: number };
}

export function repeatsOf(name: string, runs: readonly FaultResult[]): Repeated {
  const replaced = runs.flatMap((run) => run.replacedMs ?? []);
  const sum = (value: (run: FaultResult) => number): number => runs.reduce((before, run) => before + value(run), 0);
  return {
    name,
    times: runs.length,
    requests: sum(({ requests }) => requests),
    signed: sum(({ signed }) => signed),
    ...middleAndWorst(runs.map(({ slowestMs }) => slowestMs)),
    ...(replaced.length === 0 ? {} : { replaced: middleAndWorst(replaced) }),
  };
}

function middleAndWorst(times: readonly number[]): { readonly medianMs: number; readonly slowestMs: number } {
  const sorted = times.toSorted((one, other) => one - other);
  return { medianMs: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, slowestMs: sorted.at(-1) ?? Number.NaN };
}

const heads = [
  'fault',
  'times',
  'slowest request: median s',
  'slowest request: worst s',
  'next worker polls after: median s',
  'next worker polls after: worst s',
  'signed',
];
export const repeatsHead = [heads, heads.map(() => '---')].map(cells).join('\n');

export function repeatsRow({ name, times, requests, signed, medianMs, slowestMs, replaced }: Repeated): string {
  const seconds = (ms: number | undefined): string => (ms === undefined ? '–' : (ms / 1_000).toFixed(2));
  const measured = [medianMs, slowestMs, replaced?.medianMs, replaced?.slowestMs].map(seconds);
  return cells([name, String(times), ...measured, `${signed} of ${requests}`]);
}

function cells(list: readonly string[]): string {
  return `| ${list.join(' | ')} |`;
}

export function repeatsText(list: readonly Repeated[]): string {
  return [repeatsHead, ...list.map(repeatsRow)].join('\n');
}
