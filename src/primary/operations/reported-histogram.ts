import { Histogram, type Registry } from 'prom-client';
import { latencyBuckets, type Histogram as Reported } from '../../shared/worker-report.ts';

/** One series of the family: what was counted for these labels. */
export interface ReportedSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly histogram: Reported;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A Prometheus histogram whose observations were counted elsewhere: prom-client can only observe, not add. */
export class ReportedHistogram extends Histogram {
  readonly #family: { readonly name: string; readonly help: string };
  readonly #read: () => readonly ReportedSeries[];

  constructor(
    family: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
    registers: Registry[],
    read: () => readonly ReportedSeries[],
  ) {
    super({ ...family, registers, buckets: [...latencyBuckets] });
    this.#family = family;
    this.#read = read;
  }

  /** What a registry of prom-client 15 reads for the text format; there is a test that it does. */
  async getForPromString(): Promise<{ name: string; help: string; type: 'histogram'; values: Sample[] }> {
    const { name, help } = this.#family;
    return { name, help, type: 'histogram', values: this.#read().flatMap((one) => samples(name, one)) };
  }
}

function samples(name: string, { labels, histogram: { buckets, sumSeconds } }: ReportedSeries): Sample[] {
  let count = 0;
  const bounds = [...latencyBuckets.map(String), '+Inf'];
  return [
    ...bounds.map((le, at) => {
      count += buckets[at] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
    }),
    { metricName: `${name}_sum`, labels, value: sumSeconds },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
