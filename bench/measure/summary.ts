/** Median and spread of some samples: no figure of the bench is shown without both. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Half of the distance from the lowest quartile to the highest, as a share of the median. */
  readonly spread: number;
  readonly samples: number;
}

export function summary(samples: readonly number[]): Summary {
  if (samples.length === 0) return { median: Number.NaN, least: Number.NaN, most: Number.NaN, spread: 0, samples: 0 };
  const sorted = samples.toSorted((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  return {
    median,
    least: sorted[0] as number,
    most: sorted.at(-1) as number,
    spread: median === 0 ? 0 : (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2 / Math.abs(median),
    samples: sorted.length,
  };
}

/** @param sorted ascending, not empty. @param at 0 to 1; between two samples, the straight line between them. */
export function quantile(sorted: readonly number[], at: number): number {
  const place = (sorted.length - 1) * at;
  const below = sorted[Math.floor(place)] as number;
  const above = sorted[Math.ceil(place)] as number;
  return below + (above - below) * (place - Math.floor(place));
}
