import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { type AuditChain, createAuditChain } from '../../shared/audit/chain.ts';
import type { Opened } from '../../shared/audit/event.ts';
import { auditParameters, insertEntriesText } from '../../shared/audit/insert-entries.ts';
import { AttemptOver } from '../../shared/maintenance/attempt.ts';
import { version } from '../../shared/version.ts';

/** A statement found its row otherwise than expected, and wrote nothing, entries included. */
export class NothingChanged extends Error {
  override readonly name = 'NothingChanged';
}

/** Where jobs tell of the rows that they change: a chain in the audit log. */
export type JobAudit = Pick<AuditChain, 'record' | 'append'>;

/**
 * Opens a chain when there is something to tell, and another one after a statement of which nobody knows whether it was
 * committed: nothing may follow that in its chain.
 */
export function createJobAudit(pool: Pick<pg.Pool, 'query'>, opened: Omit<Opened, 'kind' | 'chain'>): JobAudit {
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
    append: (...events) => recording((used) => used.append(...events)),
  };
}

function wroteNothing(error: unknown): boolean {
  return error instanceof NothingChanged || error instanceof AttemptOver;
}
