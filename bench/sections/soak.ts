import { childrenOf, residentMb } from '../measure/processes.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Figure, Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

const blockMs = 20_000;
const perSecond = 200;

/** Long steady load: whether memory stays flat. The first third is left out: caches fill, code is compiled. */
export async function measureSoak(stage: Stage): Promise<Section> {
  const { plan, system } = stage;
  await stage.useNode(1, {});
  const request = { kind: 'sign', keys: await stage.keys('ed25519', plan.keys) } as const;
  const primary = stage.node(1).pid;
  const processes = { primary, worker: childrenOf(primary)[0] ?? -1, API: system.api.pid };
  const names = Object.keys(processes) as (keyof typeof processes)[];
  const series: { hours: number; mb: Record<string, number> }[] = [];
  const began = performance.now();
  while (performance.now() - began < plan.soakMs) {
    await runSystem(stage, { request, pace: { perSecond }, ms: Math.min(blockMs, plan.soakMs) });
    series.push({
      hours: (performance.now() - began) / 3_600_000,
      mb: Object.fromEntries(names.map((name) => [name, residentMb(processes[name])])),
    });
  }
  const settled = series.slice(Math.floor(series.length / 3));
  const figures = names.flatMap((name): Figure[] => {
    const points = settled.map(({ hours, mb }) => ({ x: hours, y: mb[name] ?? Number.NaN }));
    return [
      { id: `soak ${name}`, what: `${name}, resident memory`, unit: 'MB', samples: points.map(({ y }) => y) },
      { id: `soak ${name} slope`, what: `${name}, growth`, unit: 'MB/h', samples: [slope(points)] },
    ];
  });
  return {
    title: 'Soak',
    about: `${Math.round(plan.soakMs / 60_000)} minutes of ${perSecond} ed25519 signatures a second; the first third is left out.`,
    figures,
  };
}

/** Of the straight line through the points (least squares). */
function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const covariance = mean((point) => (point.x - x) * (point.y - y));
  const variance = mean((point) => (point.x - x) ** 2);
  return variance === 0 ? 0 : covariance / variance;
}
