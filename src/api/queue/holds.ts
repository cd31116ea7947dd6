import type { NewRequest, RequestRow } from './request.ts';
import { finalStates } from './request.ts';

interface Held {
  /** What was sent, for a request that was submitted here. */
  request?: NewRequest;
  /** The insert was committed: if the row is gone now, a crash of the database swallowed it. */
  committed: boolean;
  readonly promise: Promise<RequestRow>;
  readonly settle: (row: RequestRow) => void;
  holders: number;
}

/**
 * The requests whose callers wait in this process. What was sent is kept until it is answered, so that a row that a
 * database crash swallowed can be inserted again under the same id. Every `enter` has its `leave`.
 */
export function createHolds() {
  const held = new Map<string, Held>();

  return {
    /** Before the row is inserted or read, so that its end cannot be missed. */
    enter(id: string, request?: NewRequest): void {
      const present = held.get(id);
      if (present !== undefined) {
        present.holders += 1;
        if (request !== undefined) present.request = request;
        return;
      }
      const { promise, resolve } = Promise.withResolvers<RequestRow>();
      held.set(id, {
        ...(request === undefined ? {} : { request }),
        committed: false,
        promise,
        settle: resolve,
        holders: 1,
      });
    },
    leave(id: string): void {
      const entry = held.get(id);
      if (entry === undefined) return;
      entry.holders -= 1;
      if (entry.holders === 0) held.delete(id);
    },
    committed(id: string): void {
      const entry = held.get(id);
      if (entry !== undefined) entry.committed = true;
    },
    /** The row as it was read; only a final one ends the wait. */
    settle(row: RequestRow): void {
      if (finalStates.includes(row.state)) held.get(row.id)?.settle(row);
    },
    /** Undefined when the time is up first. */
    async wait(id: string, holdMs: number): Promise<RequestRow | undefined> {
      const entry = held.get(id);
      if (entry === undefined) return undefined;
      const { promise: timeUp, resolve } = Promise.withResolvers<undefined>();
      const timer = setTimeout(resolve, holdMs, undefined);
      try {
        return await Promise.race([entry.promise, timeUp]);
      } finally {
        clearTimeout(timer);
      }
    },
    has(id: string): boolean {
      return held.has(id);
    },
    ids(): string[] {
      return [...held.keys()];
    },
    /** The submitted requests that are not among the ids that the database still has. */
    swallowed(present: ReadonlySet<string>): NewRequest[] {
      return [...held.values()].flatMap((entry) =>
        entry.request !== undefined && entry.committed && !present.has(entry.request.id) ? [entry.request] : [],
      );
    },
  };
}
export type Holds = ReturnType<typeof createHolds>;
