import type { Log } from './log.ts';

/**
 * Warnings that a fault may repeat without end (one for each request, say): the first is written at once; those with
 * the same sentence and code within the next ten seconds are counted, and written as one line.
 */
export interface QuietLog {
  warn(fields: QuietFields, sentence: string): void;
}

type QuietFields = Readonly<Record<string, unknown>> & { readonly code: string };

const windowMs = 10_000;

export function createQuietLog(log: Log): QuietLog {
  /** Sentences and codes are few: this does not grow. */
  const recent = new Map<string, { repeated: number; last: QuietFields }>();

  function windowEnds(key: string, sentence: string): void {
    const entry = recent.get(key);
    if (entry === undefined) return;
    const { repeated, last } = entry;
    if (repeated === 0) {
      recent.delete(key);
      return;
    }
    log.warn({ ...last, repeated }, sentence);
    entry.repeated = 0;
    later(key, sentence);
  }

  function later(key: string, sentence: string): void {
    setTimeout(() => windowEnds(key, sentence), windowMs).unref();
  }

  return {
    warn(fields, sentence) {
      const key = `${sentence} ${fields.code}`;
      const entry = recent.get(key);
      if (entry !== undefined) {
        entry.repeated += 1;
        entry.last = fields;
        return;
      }
      recent.set(key, { repeated: 0, last: fields });
      log.warn(fields, sentence);
      later(key, sentence);
    },
  };
}
