import type { Examined } from './check.ts';

const words: Readonly<Record<Examined['level'], string>> = {
  good: 'ok  ',
  warning: 'warn',
  problem: 'FAIL',
  skipped: 'skip',
};

/** One line as it is found, and below it what to do. */
export function findingText(examined: Examined): string {
  const line = `${words[examined.level]}  ${examined.check}: ${examined.found}\n`;
  return 'todo' in examined ? `${line}      → ${examined.todo}\n` : line;
}

/** The last lines: how much there is to do, and where to begin. */
export function summaryText(all: readonly Examined[]): string {
  const problems = all.filter(({ level }) => level === 'problem');
  const warnings = all.filter(({ level }) => level === 'warning').length;
  const [first] = problems;
  const counted = `${problems.length} problem${problems.length === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}`;
  return first === undefined ? `\n${counted}\n` : `\n${counted}; begin with: ${first.check}\n`;
}
