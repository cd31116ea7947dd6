import { hash } from 'node:crypto';
import type { AuditEvent, ChainHead } from './event.ts';

/**
 * One entry of a chain is one line of JSON, kept and exported exactly as it was hashed. `previous` is the SHA-256 of the
 * line before it (base64url; null in a chain's first line), so an entry that is changed, removed, moved or put in no longer
 * fits its neighbours, and the newest hash, the chain's head, speaks for all of them.
 */

/** What every entry of a chain carries: which software, and of a worker which token. */
export interface AuditStamp {
  readonly version: string;
  /** Serial number of the slot's token. */
  readonly token?: string;
}

export interface Sealed {
  readonly first: number;
  /** Lines, in order. */
  readonly entries: readonly string[];
  readonly head: ChainHead;
}

/** Puts events behind a head. The order is decided here, once. @param at when they happened */
export function seal(
  after: ChainHead | undefined,
  events: readonly AuditEvent[],
  stamp: AuditStamp,
  at = new Date(),
): Sealed {
  const common = `"at":"${at.toISOString()}"`;
  const end = JSON.stringify(stamp).slice(1);
  let head = after;
  const entries = events.map((event) => {
    const sequence = (head?.sequence ?? 0) + 1;
    const previous = head === undefined ? 'null' : `"${head.hash}"`;
    const about = JSON.stringify(event).slice(1, -1);
    const line = `{"sequence":${sequence},"previous":${previous},${common},${about},${end}`;
    head = { sequence, hash: entryHash(line) };
    return line;
  });
  if (head === undefined) throw new RangeError('nothing to seal');
  return { first: (after?.sequence ?? 0) + 1, entries, head };
}

/** SHA-256 of the line's UTF-8 bytes, base64url. */
export function entryHash(line: string | Uint8Array): string {
  return hash('sha256', line, 'base64url');
}
