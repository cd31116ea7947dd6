import { type AuditChain, createAuditChain } from '../../shared/audit/chain.ts';
import type { AuditStamp } from '../../shared/audit/entry.ts';
import type { Opened } from '../../shared/audit/event.ts';
import { auditParameters, insertEntriesText } from '../../shared/audit/insert-entries.ts';
import { DatabaseLost, type DriverDatabase, type Statement } from '../database.ts';

/** The audit chain of this worker process, in the driver database. */
export function createWorkerChain(
  database: Pick<DriverDatabase, 'query' | 'persistently'>,
  instance: string,
  opened: Omit<Opened, 'kind' | 'chain' | 'program'>,
  stamp: AuditStamp,
): AuditChain {
  return createAuditChain({
    id: instance,
    opened: { program: 'worker', ...opened },
    stamp,
    insert: (rows) => database.query(insertEntries, auditParameters(rows)),
    persistently: (work) => database.persistently(work),
    isUnsure: (error) => error instanceof DatabaseLost,
  });
}

const insertEntries: Statement = { name: 'worker_insert_audit', text: insertEntriesText(1) };
