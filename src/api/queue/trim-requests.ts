import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from '../../shared/log.ts';

/**
 * Trimming of the queue: final signature requests that are older than the API remembers, in small batches, by one process
 * at a time. Requests that made a key stay with their key: they are what a repeated call is answered by.
 *
 * Who repeats a request after this time makes a new one; the drivers' journal keeps its rows for longer.
 */
export interface Trimming {
  stop(): void;
}

export interface TrimmingOptions {
  readonly pool: pg.Pool;
  readonly rememberDays: number;
  readonly everyMs?: number;
  readonly log: Log;
}

const hourMs = 3_600_000;
const batch = 1_000;
const pauseMs = 200;

export function startTrimming({ pool, rememberDays, everyMs = hourMs, log }: TrimmingOptions): Trimming {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      // Spread: all processes do it, and whoever comes second finds nothing.
      await sleep(everyMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      try {
        const removed = await trimAll(pool, rememberDays, signal);
        if (removed > 0) log.info({ removed, rememberDays }, 'old requests removed');
      } catch (error) {
        log.warn({ cause: (error as Error).message }, 'old requests not removed');
      }
    }
  }

  void run();
  return { stop: () => stopping.abort() };
}

/** @returns how many rows were removed. */
export async function trimAll(pool: pg.Pool, rememberDays: number, signal: AbortSignal): Promise<number> {
  let removed = 0;
  while (!signal.aborted) {
    // The function refuses whatever is younger than its own floor, and answers 0 while another process is at it.
    const { rows } = await pool.query<{ removed: string }>(
      'select trim_requests(make_interval(days => $1), $2) as removed',
      [rememberDays, batch],
    );
    const now = Number(rows[0]?.removed ?? 0);
    removed += now;
    if (now < batch) break;
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
  return removed;
}
