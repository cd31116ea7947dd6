import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { type AuditChain, createAuditChain } from '../../shared/audit/chain.ts';
import type { AuditEvent, Opened } from '../../shared/audit/event.ts';
import { auditParameters, insertEntriesText } from '../../shared/audit/insert-entries.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import { AttemptOver } from '../../shared/maintenance/attempt.ts';
import { version } from '../../shared/version.ts';

/** A statement found its row otherwise than expected, and wrote nothing, entries included. */
export class NothingChanged extends Error {
  override readonly name = 'NothingChanged';
}

/** Where jobs tell of the rows that they change: a chain in the audit log. */
export interface JobAudit extends Pick<AuditChain, 'record' | 'append'> {
  /** For what is known only once it is done: rows are changed, and told of, in one transaction. */
  recordChange<Result>(change: (client: pg.PoolClient) => Promise<Change<Result>>): Promise<Result>;
}

export interface Change<Result> {
  readonly result: Result;
  /** None: nothing is told. */
  readonly events: readonly AuditEvent[];
}

/**
 * Opens a chain when there is something to tell, and another one after a statement of which nobody knows whether it was
 * committed: nothing may follow that in its chain.
 */
export function createJobAudit(pool: pg.Pool, opened: Omit<Opened, 'kind' | 'chain'>): JobAudit {
  let chain: AuditChain | undefined;

  function open(): AuditChain {
    chain ??= createAuditChain({
      id: randomUUID(),
      opened,
      stamp: { version: version() },
      insert: (rows) => pool.query(insertEntriesText(1), [...auditParameters(rows)]),
      persistently: (work) => work(),
      isUnsure: (error) => !wroteNothing(error),
    });
    return chain;
  }

  async function recording<Result>(act: (chain: AuditChain) => Promise<Result>): Promise<Result> {
    const used = open();
    try {
      return await act(used);
    } catch (error) {
      if (!wroteNothing(error) && chain === used) chain = undefined;
      throw error;
    }
  }

  return {
    record: (events, write) => recording((used) => used.record(events, write)),
    recordChange: (change) =>
      inTransaction(pool, async (client, commit) => {
        const { events, result } = await change(client);
        if (events.length === 0) return result;
        await recording((used) =>
          used.record(events, async (rows) => {
            await client.query(insertEntriesText(1), [...auditParameters(rows)]);
            // Within: the chain goes on from entries only that are there.
            await commit();
          }),
        );
        return result;
      }),
    append: (...events) => recording((used) => used.append(...events)),
  };
}

function wroteNothing(error: unknown): boolean {
  return error instanceof NothingChanged || error instanceof AttemptOver;
}
