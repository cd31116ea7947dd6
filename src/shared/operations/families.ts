import { Counter, Gauge, type Registry } from 'prom-client';

/** A label set and its value. */
export type Sample = readonly [Readonly<Record<string, string>>, number];

/** Families of metrics whose every value is read when it is scraped: nothing is kept twice. */
export interface Families {
  gauge(name: string, help: string, labelNames: readonly string[], read: () => readonly Sample[]): void;
  counter(name: string, help: string, labelNames: readonly string[], read: () => readonly Sample[]): void;
}

/** @param prefix of each name. */
export function createFamilies(registry: Registry, prefix: string): Families {
  const family = (name: string, help: string, labelNames: readonly string[]) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: [...labelNames],
    registers: [registry],
  });
  return {
    gauge(name, help, labelNames, read) {
      new Gauge({
        ...family(name, help, labelNames),
        collect() {
          this.reset();
          for (const [labels, value] of read()) this.set(labels, value);
        },
      });
    },
    counter(name, help, labelNames, read) {
      new Counter({
        ...family(name, help, labelNames),
        collect() {
          this.reset();
          // Two reports may have come to the same labels.
          for (const [labels, value] of read()) this.inc(labels, value);
        },
      });
    },
  };
}
