import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What a process asks before it logs in again with the PIN of its first login: whether this node wrote down a refusal of
 * it since. Session threads ask, in the middle of their work: one look at a few small files, and nothing of the
 * database. Kept apart from local-results.ts, whose imports would cost every session memory.
 */
export interface KnownRefusals {
  readonly directory: string;
  readonly guardGroup: string;
  readonly version: string;
  /** Attempts whose refusal was weighed before the first login: an operator had cleared them. */
  readonly attempts: readonly string[];
}

export const isResultFile = (name: string): boolean => /^result-.*\.json$/.test(name);

/** Of any token that shares the counter. A file that cannot be read counts: a new process will say what is wrong with it. */
export function wasRefusedSince({ directory, guardGroup, version, attempts }: KnownRefusals): boolean {
  try {
    return readdirSync(directory)
      .filter(isResultFile)
      .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')))
      .some(
        (one) =>
          one.state === 'refused' &&
          one.guardGroup === guardGroup &&
          one.version === version &&
          !attempts.includes(one.attempt),
      );
  } catch {
    return true;
  }
}
