import { type AuditStamp, seal } from './entry.ts';
import type { AuditEvent, ChainHead, Opened } from './event.ts';

/** For parts that only tell of something. */
export interface AuditLog {
  /** Resolves when the entries are durable. Without events: when the chain's first entry is. */
  append(...events: readonly AuditEvent[]): Promise<void>;
}

/** Entries on their way into the database, beside the rows that they tell of. */
export interface AuditRows {
  readonly chain: string;
  /** Sequence of the first line. */
  readonly first: number;
  /** One entry a line. */
  readonly lines: string;
}

/**
 * The chain of one instance. One statement at a time: a later entry is never in the database without the earlier ones, so
 * a process that ends in the middle leaves a chain that is shorter, and never one with a gap. The number and the hash of an
 * entry are decided once; when it is not known whether a statement was committed, the same entries are written again.
 */
export interface AuditChain extends AuditLog {
  readonly id: string;
  /** The newest entry that is durable. */
  readonly head: ChainHead | undefined;
  /**
   * Entries and what they tell of, in one statement.
   * @param write may be called again with the same rows: it must leave out what is there already.
   * @throws what `write` throws; then none of it is in the database, unless the chain has ended with this.
   */
  record<Result>(events: readonly AuditEvent[], write: (rows: AuditRows) => Promise<Result>): Promise<Result>;
  /** Resolves when everything that was given to it is written, or never will be. */
  settled(): Promise<void>;
}

export interface ChainParts {
  /** The instance: one process from its start to its end. */
  readonly id: string;
  /** The first entry, written with the first events. */
  readonly opened: Omit<Opened, 'kind' | 'chain'>;
  readonly stamp: AuditStamp;
  /** Writes entries that come alone. */
  readonly insert: (rows: AuditRows) => Promise<unknown>;
  /** Repeats until the database did not fail under it. */
  readonly persistently: <Result>(work: () => Promise<Result>) => Promise<Result>;
  /** Whether a statement that failed so may have been committed. */
  readonly isUnsure: (error: unknown) => boolean;
}

export function createAuditChain({ id, opened, stamp, insert, persistently, isUnsure }: ChainParts): AuditChain {
  let head: ChainHead | undefined;
  let last: Promise<unknown> = Promise.resolve();
  /** Nothing may follow entries of which nobody knows whether they are there. */
  let ended: { readonly cause: unknown } | undefined;

  async function next<Result>(
    events: readonly AuditEvent[],
    write: (rows: AuditRows) => Promise<Result>,
  ): Promise<Result> {
    if (ended !== undefined) throw ended.cause;
    const first: AuditEvent[] = head === undefined ? [{ kind: 'opened', chain: id, ...opened }] : [];
    const sealed = seal(head, [...first, ...events], stamp);
    const rows = { chain: id, first: sealed.first, lines: sealed.entries.join('\n') };
    try {
      const result = await persistently(() => write(rows));
      head = sealed.head;
      return result;
    } catch (cause) {
      if (isUnsure(cause)) ended = { cause };
      throw cause;
    }
  }

  function record<Result>(events: readonly AuditEvent[], write: (rows: AuditRows) => Promise<Result>): Promise<Result> {
    const done = last.then(() => next(events, write));
    last = done.catch(() => {});
    return done;
  }

  return {
    id,
    get head() {
      return head;
    },
    record,
    async append(...events) {
      if (events.length > 0 || head === undefined) await record(events, insert);
    },
    async settled() {
      await last;
    },
  };
}
