import type { SlotTotals } from './totals.ts';

/** How long requests that this node took had waited at the API, over the last minute. */
export interface QueueWait {
  readonly requests: number;
  /** 0 where there was no request. */
  readonly meanMs: number;
}

export interface QueueWaitWatch {
  /** After each report of a worker. */
  note(totals: ReadonlyMap<string, SlotTotals>, nowMs: number): void;
  now(nowMs: number): QueueWait;
}

interface Reading {
  readonly atMs: number;
  readonly requests: number;
  readonly sumSeconds: number;
}

const windowMs = 60_000;
const readingEveryMs = 1_000;

export function createQueueWaitWatch(): QueueWaitWatch {
  /** Oldest first: the first one may be older than the window, and is where it begins. */
  const readings: Reading[] = [{ atMs: Number.NEGATIVE_INFINITY, requests: 0, sumSeconds: 0 }];

  function forget(nowMs: number): void {
    while ((readings[1]?.atMs ?? nowMs) <= nowMs - windowMs) readings.shift();
  }

  return {
    note(totals, nowMs) {
      const reading = { atMs: nowMs, ...sum(totals) };
      const last = readings.at(-1) as Reading;
      // Within a second the newest replaces the one before, unless that one begins the window.
      if (readings.length > 1 && nowMs - last.atMs < readingEveryMs) readings.pop();
      readings.push(reading.atMs - last.atMs < readingEveryMs ? { ...reading, atMs: last.atMs } : reading);
      forget(nowMs);
    },
    now(nowMs) {
      forget(nowMs);
      const [first, last] = [readings[0] as Reading, readings.at(-1) as Reading];
      const requests = last.requests - first.requests;
      const meanMs = requests === 0 ? 0 : (1_000 * (last.sumSeconds - first.sumSeconds)) / requests;
      return { requests, meanMs: Math.round(10 * meanMs) / 10 };
    },
  };
}

function sum(totals: ReadonlyMap<string, SlotTotals>): Omit<Reading, 'atMs'> {
  const all = [...totals.values()].flatMap(({ inQueue }) => Object.values(inQueue));
  return {
    requests: all.flatMap(({ buckets }) => buckets).reduce((left, right) => left + right, 0),
    sumSeconds: all.reduce((left, { sumSeconds }) => left + sumSeconds, 0),
  };
}
