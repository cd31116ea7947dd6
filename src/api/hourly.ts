import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../shared/log.ts';

/** Upkeep of the API's database that every process does, and whoever comes second finds nothing to do. */
export interface Hourly {
  stop(): void;
}

export interface HourlyWork {
  /** In small batches. @returns how many rows were removed */
  readonly work: (signal: AbortSignal) => Promise<number>;
  /** For the log: what is removed. */
  readonly what: string;
  readonly everyMs?: number;
  readonly log: Log;
}

const hourMs = 3_600_000;

export function startHourly({ work, what, everyMs = hourMs, log }: HourlyWork): Hourly {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      // Spread: all processes do it.
      await sleep(everyMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      try {
        const removed = await work(signal);
        if (removed > 0) log.info({ what, removed }, 'old rows removed');
      } catch (error) {
        log.warn({ what, cause: (error as Error).message }, 'old rows not removed');
      }
    }
  }

  void run();
  return { stop: () => stopping.abort() };
}

/** @param remove one batch; it answers how many rows went. @returns how many rows went in all */
export async function inBatches(
  remove: (most: number) => Promise<number>,
  most: number,
  signal: AbortSignal,
): Promise<number> {
  let removed = 0;
  while (!signal.aborted) {
    const now = await remove(most);
    removed += now;
    if (now < most) break;
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
  return removed;
}

/** Between batches: locks and the replica's lag stay short. */
const pauseMs = 200;
