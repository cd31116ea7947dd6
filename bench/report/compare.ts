import { summary } from '../measure/summary.ts';
import type { Report } from './figures.ts';
import { rounded } from './table.ts';

/**
 * Each figure of this run beside the one of an earlier run. A difference is called one only where it is larger than both
 * spreads together: on a machine that others use, ratios and CPU times say more than rates.
 */
export function comparisonText(before: Report, now: Report): string {
  const earlier = new Map(before.sections.flatMap(({ figures }) => figures.map((figure) => [figure.id, figure])));
  const lines = now.sections.flatMap(({ figures }) =>
    figures.flatMap(({ id, what, unit, samples }) => {
      const other = earlier.get(id);
      if (other === undefined) return [];
      const was = summary(other.samples);
      const is = summary(samples);
      const change = is.median / was.median - 1;
      const noise = was.spread + is.spread;
      const verdict = Math.abs(change) > noise && samples.length > 1 ? '' : ' (within the spread)';
      const percent = `${change >= 0 ? '+' : ''}${(change * 100).toFixed(1)} %`;
      return [`  ${what}: ${rounded(was.median)} → ${rounded(is.median)} ${unit}, ${percent}${verdict}`];
    }),
  );
  return [`Compared with ${before.machine.date}, ${before.machine.commit} (${before.machine.cpu})`, ...lines].join(
    '\n',
  );
}
