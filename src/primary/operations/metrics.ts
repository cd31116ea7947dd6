import { Registry } from 'prom-client';
import { createFamilies } from '../../shared/operations/families.ts';
import { addMaintenanceMetrics } from './maintenance-metrics.ts';
import { addNodeMetrics } from './node-metrics.ts';
import { addSlotMetrics, type SlotMetricsSource } from './slot-metrics.ts';
import type { NodeStatus } from './status.ts';

/**
 * The node's metrics for Prometheus, one registry in the primary: a scrape never waits for a worker, and totals survive
 * workers. Label values come from the configuration, from tables in the code, or are bounded in number (see totals.ts);
 * no request, key or organisation is ever a label.
 */
export interface Metrics {
  readonly contentType: string;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
}

const prefix = 'hsm_driver_';

export function createMetrics({ status, totals }: SlotMetricsSource): Metrics {
  const registry = new Registry();
  let ofThisScrape: NodeStatus | undefined;
  const now = (): NodeStatus => ofThisScrape ?? status();
  const families = createFamilies(registry, prefix);
  addSlotMetrics(registry, prefix, families, { status: now, totals });
  addNodeMetrics(families, now);
  addMaintenanceMetrics(families, now);
  return {
    contentType: registry.contentType,
    text() {
      // All families read in the same turn of the event loop, up to their first await.
      ofThisScrape = status();
      return registry.metrics();
    },
  };
}
