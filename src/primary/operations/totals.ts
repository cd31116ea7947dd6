import { type Histogram, latencyBuckets, type WorkerReport } from '../../shared/worker-report.ts';

/**
 * Totals of a slot over all its workers. Each report is cumulative since its worker's start, so what is new in it is
 * its difference to the report before; a replaced worker starts from nothing and the totals go on.
 */
export interface SlotTotals {
  readonly requests: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
  readonly inQueue: Readonly<Record<string, Histogram>>;
  readonly inDriver: Readonly<Record<string, Histogram>>;
  readonly inHsm: Readonly<Record<string, Histogram>>;
}

export interface Totals {
  /** @param worker which worker of the slot says so. */
  take(slot: string, worker: string, report: WorkerReport): void;
  all(): ReadonlyMap<string, SlotTotals>;
}

const nothing: SlotTotals = { requests: {}, events: {}, inQueue: {}, inDriver: {}, inHsm: {} };

/** More names than this would not be names any more: memory and scrapes stay bounded whatever a worker says. */
const mostNames = 200;

export function createTotals(): Totals {
  const totals = new Map<string, SlotTotals>();
  const last = new Map<string, { readonly worker: string; readonly report: SlotTotals }>();
  return {
    take(slot, worker, report) {
      const before = last.get(slot);
      last.set(slot, { worker, report });
      totals.set(slot, add(totals.get(slot) ?? nothing, report, before?.worker === worker ? before.report : nothing));
    },
    all: () => totals,
  };
}

function add(total: SlotTotals, now: SlotTotals, before: SlotTotals): SlotTotals {
  return {
    requests: addCounts(total.requests, now.requests, before.requests),
    events: addCounts(total.events, now.events, before.events),
    inQueue: addHistograms(total.inQueue, now.inQueue, before.inQueue),
    inDriver: addHistograms(total.inDriver, now.inDriver, before.inDriver),
    inHsm: addHistograms(total.inHsm, now.inHsm, before.inHsm),
  };
}

type Counts = Readonly<Record<string, number>>;
function addCounts(total: Counts, now: Counts, before: Counts): Counts {
  const sums: Record<string, number> = { ...total };
  for (const [name, count] of Object.entries(now)) {
    if (!(name in sums) && Object.keys(sums).length >= mostNames) continue;
    sums[name] = (sums[name] ?? 0) + grown(count, before[name] ?? 0);
  }
  return sums;
}

type Histograms = Readonly<Record<string, Histogram>>;
function addHistograms(total: Histograms, now: Histograms, before: Histograms): Histograms {
  const sums: Record<string, Histogram> = { ...total };
  for (const [name, histogram] of Object.entries(now)) {
    if (!(name in sums) && Object.keys(sums).length >= mostNames) continue;
    sums[name] = {
      buckets: Array.from(
        { length: latencyBuckets.length + 1 },
        (_none, at) =>
          (sums[name]?.buckets[at] ?? 0) + grown(histogram.buckets[at] ?? 0, before[name]?.buckets[at] ?? 0),
      ),
      sumSeconds: (sums[name]?.sumSeconds ?? 0) + grown(histogram.sumSeconds, before[name]?.sumSeconds ?? 0),
    };
  }
  return sums;
}

/** A counter never falls; should one have, it was begun anew. */
function grown(now: number, before: number): number {
  return now >= before ? now - before : now;
}
