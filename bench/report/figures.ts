import type { Machine } from '../measure/machine.ts';

/** One line of the table: some samples of one thing. */
export interface Figure {
  /** Stable, for comparisons between runs. */
  readonly id: string;
  readonly what: string;
  readonly unit: '/s' | '%' | 'ms' | 'MB' | 'MB/h' | 'B';
  readonly samples: readonly number[];
  readonly target?: Target;
}

export type Target = { readonly least: number } | { readonly most: number };

export interface Section {
  readonly title: string;
  /** What is compared with what, in a sentence. */
  readonly about: string;
  readonly figures: readonly Figure[];
}

/** What `--json` writes and `--compare` reads. */
export interface Report {
  readonly machine: Machine;
  readonly sections: readonly Section[];
}

export function isMet(target: Target, median: number): boolean {
  return 'least' in target ? median >= target.least : median <= target.most;
}
