import type pg from 'pg';
import type { HintSender } from './hints.ts';
import type { Holds } from './holds.ts';
import type { OpenRequests } from './open-requests.ts';
import { type EndRecord, type RequestRecord, requestColumns, requestEnd, requestRow } from './request-row.ts';
import type { Submitter } from './submit.ts';

export interface HeldRowsParts {
  readonly pool: pg.Pool;
  readonly holds: Holds;
  readonly hints: HintSender;
  readonly submitter: Submitter;
  readonly openRequests: OpenRequests;
  readonly onFinished?: (records: readonly EndRecord[]) => void;
  /** Told of what went wrong where nobody waits for it. */
  readonly failed: (error: unknown) => void;
}

/** What this process knows of the rows that its callers wait for: told by completions, by hints, and by reading. */
export function createHeldRows({ pool, holds, hints, submitter, openRequests, onFinished, failed }: HeldRowsParts) {
  const read = async (ids: readonly string[]): Promise<Set<string>> => {
    const ours = ids.filter((id) => holds.has(id));
    if (ours.length === 0) return new Set();
    const { rows } = await pool.query<RequestRecord>(`select ${requestColumns} from request where id = any($1)`, [
      ours,
    ]);
    for (const row of rows) holds.settle(requestRow(row));
    return new Set(rows.map((row) => row.id));
  };

  return {
    /** Rows that this process made final: its own callers are answered, other processes get a hint. */
    finished(records: readonly EndRecord[]): void {
      onFinished?.(records);
      const elsewhere: string[] = [];
      const unknown: string[] = [];
      for (const record of records) {
        if (!holds.has(record.id)) {
          openRequests.close(record.organisation);
          elsewhere.push(record.id);
        } else if (!holds.finish(requestEnd(record))) unknown.push(record.id);
      }
      if (elsewhere.length > 0) hints.done(elsewhere);
      // The next second's reading is a second try.
      if (unknown.length > 0) read(unknown).catch(failed);
    },
    /** Reads those of the rows that somebody waits for here; the ids that are still in the database. */
    read,
    /** Reads all that is waited for; rows that a database crash swallowed are inserted again, under the same ids. */
    async readAndRestore(): Promise<void> {
      // Before the read: what is inserted while it is under way is not in its answer, and yet in the table.
      const inserted = holds.inserted();
      const present = await read(holds.ids());
      const swallowed = inserted.filter(({ id }) => !present.has(id) && holds.isOpen(id));
      await Promise.all(
        swallowed.map((request) => submitter.submit(request, openRequests.place(request.requester.organisation))),
      );
    },
  };
}
export type HeldRows = ReturnType<typeof createHeldRows>;
