import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { version } from '../version.ts';
import { type AuditChain, createAuditChain } from './chain.ts';
import type { Opened } from './event.ts';
import { auditParameters, insertEntriesText } from './insert-entries.ts';

/**
 * The audit chain of a primary or a command, which have no HSM: a worker anchors it in its own signed chain. Nothing is
 * written before the first event. A statement whose fate is unknown is not repeated here: it ends the chain, and what it
 * told of must be done again by a new process.
 * @param pool durable.
 */
export function openAuditLog(
  pool: Pick<pg.Pool, 'query'>,
  opened: Omit<Opened, 'kind' | 'chain'>,
  instance: string = randomUUID(),
): AuditChain {
  return createAuditChain({
    id: instance,
    opened,
    stamp: { version: version() },
    insert: (rows) => pool.query(insertEntriesText(1), [...auditParameters(rows)]),
    persistently: (work) => work(),
    isUnsure: () => true,
  });
}
