import type { RequestKind } from '../shared/keys.ts';
import { latencyBuckets, type WorkerReport } from '../shared/worker-report.ts';

/**
 * What a worker counts, cumulative since its start. Cheap enough for every request: additions in memory, nothing is
 * logged and nothing grows (the names are few and known).
 */
export interface Metrics {
  count(event: MetricEvent, by?: number): void;
  /** @param outcome `signed`, `made`, `given back` or `error CODE`. */
  ended(kind: RequestKind, outcome: string): void;
  observe(where: MeasuredPlace, kind: RequestKind, ms: number, times?: number): void;
  readonly snapshot: Pick<WorkerReport, 'requests' | 'events' | MeasuredPlace>;
}

/** Where time is measured. */
export type MeasuredPlace = 'inQueue' | 'inDriver' | 'inHsm';

/** Every event a worker counts. All of them are in every report, so that a counter exists before it first moves. */
export const metricEvents = [
  'leases_taken',
  'leases_given_back',
  'lease_calls_failed',
  'outcomes_late',
  'outcomes_conflicting',
  'journal_rows',
  'journal_conflicts',
  'signatures_discarded',
  'keys_stored',
  'audit_heads_refused',
  'tag_failures',
  'device_faults',
  'back_pressure',
  'probes',
  'probes_failed',
  'breaker_opened',
  'sibling_warnings',
  'keep_alives',
  'authorisations_checked',
  'authorisations_refused',
] as const;
export type MetricEvent = (typeof metricEvents)[number];

/** For parts that only count. */
export type Count = (event: MetricEvent, by?: number) => void;

export function createMetrics(): Metrics {
  const requests: Record<string, number> = {};
  const events = Object.fromEntries(metricEvents.map((event) => [event, 0])) as Record<MetricEvent, number>;
  const histograms: Record<MeasuredPlace, Record<string, MutableHistogram>> = { inQueue: {}, inDriver: {}, inHsm: {} };
  return {
    count(event, by = 1) {
      events[event] += by;
    },
    ended(kind, outcome) {
      const name = `${kind} ${outcome}`;
      requests[name] = (requests[name] ?? 0) + 1;
    },
    observe(where, kind, ms, times = 1) {
      histograms[where][kind] ??= { buckets: latencyBuckets.map(() => 0).concat(0), sumSeconds: 0 };
      const histogram = histograms[where][kind];
      const seconds = ms / 1_000;
      const at = latencyBuckets.findIndex((bound) => seconds <= bound);
      const bucket = at === -1 ? latencyBuckets.length : at;
      histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + times;
      histogram.sumSeconds += seconds * times;
    },
    // Not a copy: a message to the primary is one.
    snapshot: { requests, events, ...histograms },
  };
}

interface MutableHistogram {
  readonly buckets: number[];
  sumSeconds: number;
}
