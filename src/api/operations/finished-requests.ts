import type { RequestRecord } from '../queue/request-row.ts';

/** How many requests this process made final, by how: what a rate of failures is made of. */
export interface FinishedRequests {
  count(records: readonly Pick<RequestRecord, 'kind' | 'state' | 'error_code'>[]): void;
  all(): readonly FinishedCount[];
}

export interface FinishedCount {
  readonly kind: string;
  readonly state: string;
  /** Why it failed; empty when it did not. */
  readonly code: string;
  readonly count: number;
}

export function createFinishedRequests(): FinishedRequests {
  const counts = new Map<string, FinishedCount>();
  return {
    count(records) {
      for (const { kind, state, error_code } of records) {
        const code = error_code ?? '';
        const name = `${kind} ${state} ${code}`;
        counts.set(name, { kind, state, code, count: (counts.get(name)?.count ?? 0) + 1 });
      }
    },
    all: () => [...counts.values()],
  };
}
