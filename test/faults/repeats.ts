import type { FaultResult } from './run-fault.ts';

/** One fault many times: of each time the slowest request. Pure. */
export interface Repeated {
  readonly name: string;
  readonly times: number;
  readonly requests: number;
  readonly signed: number;
  readonly medianMs: number;
  readonly slowestMs: number;
}

export function repeatsOf(name: string, runs: readonly FaultResult[]): Repeated {
  const slowest = runs.map(({ slowestMs }) => slowestMs).sort((one, other) => one - other);
  const sum = (value: (run: FaultResult) => number): number => runs.reduce((before, run) => before + value(run), 0);
  return {
    name,
    times: runs.length,
    requests: sum(({ requests }) => requests),
    signed: sum(({ signed }) => signed),
    medianMs: slowest[Math.floor(slowest.length / 2)] ?? Number.NaN,
    slowestMs: slowest.at(-1) ?? Number.NaN,
  };
}

export const repeatsHead = '| fault | times | slowest request: median s | slowest request: worst s | signed |';

export function repeatsRow({ name, times, requests, signed, medianMs, slowestMs }: Repeated): string {
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  return `| ${name} | ${times} | ${seconds(medianMs)} | ${seconds(slowestMs)} | ${signed} of ${requests} |`;
}

export function repeatsText(list: readonly Repeated[]): string {
  return [repeatsHead, ...list.map(repeatsRow)].join('\n');
}
