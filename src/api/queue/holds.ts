import type { NewRequest, RequestEnd, RequestRow } from './request.ts';
import { finalStates } from './request.ts';

interface Held {
  /** What was sent, for a request whose row was made here. */
  request?: NewRequest;
  /** As it was inserted. If the row is gone now, a crash of the database swallowed it. */
  inserted?: RequestRow;
  readonly promise: Promise<RequestRow>;
  readonly settle: (row: RequestRow) => void;
  holders: number;
  settled: boolean;
}

/**
 * The requests whose callers wait in this process. What was sent is kept until it is answered, so that a row that a
 * database crash swallowed can be inserted again under the same id. Every `enter` has its `leave`.
 * @param ended called once for each that is known here to have ended, whichever process ended it.
 */
export function createHolds(ended: (row: RequestRow) => void) {
  const held = new Map<string, Held>();
  let open = 0;
  const settle = (entry: Held, row: RequestRow): void => {
    if (entry.settled || !finalStates.includes(row.state)) return;
    open -= 1;
    entry.settled = true;
    ended(row);
    entry.settle(row);
  };

  return {
    /** Before the row is inserted or read, so that its end cannot be missed. */
    enter(id: string): void {
      const present = held.get(id);
      if (present !== undefined) {
        present.holders += 1;
        return;
      }
      const { promise, resolve } = Promise.withResolvers<RequestRow>();
      open += 1;
      held.set(id, {
        promise,
        settle: resolve,
        holders: 1,
        settled: false,
      });
    },
    leave(id: string): void {
      const entry = held.get(id);
      if (entry === undefined) return;
      entry.holders -= 1;
      if (entry.holders > 0) return;
      held.delete(id);
      if (!entry.settled) open -= 1;
    },
    /** @param request what the row was made of, where it was made here: another caller may have sent another body. */
    noteRow(row: RequestRow, request?: NewRequest): void {
      const entry = held.get(row.id);
      if (entry === undefined) return;
      entry.inserted = row;
      if (request !== undefined) entry.request = request;
    },
    /** As it was inserted here, or found. */
    known(id: string): RequestRow | undefined {
      return held.get(id)?.inserted;
    },
    /**
     * How the request ended; the rest of its row is known here since it was inserted.
     * @returns false where it is not, and the row must be read.
     */
    finish(end: RequestEnd): boolean {
      const entry = held.get(end.id);
      if (entry === undefined) return true;
      if (entry.inserted === undefined) return false;
      settle(entry, { ...entry.inserted, ...end });
      return true;
    },
    /** The row as it was read; only a final one ends the wait. */
    settle(row: RequestRow): void {
      const entry = held.get(row.id);
      if (entry !== undefined) settle(entry, row);
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
    /** Somebody waits for it, and it has not ended. */
    isOpen(id: string): boolean {
      return held.get(id)?.settled === false;
    },
    /** How many have callers here and have not ended. */
    get open(): number {
      return open;
    },
    /** Those that have not ended. */
    ids(): string[] {
      return [...held].filter(([, { settled }]) => !settled).map(([id]) => id);
    },
    /** The submitted requests that have not ended and whose row is known to be there, or to have been. */
    inserted(): NewRequest[] {
      return [...held.values()].flatMap(({ settled, request, inserted }) =>
        settled || request === undefined || inserted === undefined ? [] : [accepted(request)],
      );
    },
  };
}
/** What was believed of it held when it was inserted first. */
function accepted({ believed: _, ...request }: NewRequest): NewRequest {
  return request;
}

export type Holds = ReturnType<typeof createHolds>;
