import { childrenOf, proportionalMb, residentMb } from '../measure/processes.ts';
import { runSystem } from '../measure/system-run.ts';
import { type Point, type Trend, trend } from '../measure/trend.ts';
import type { Figure, Section } from '../report/figures.ts';
import { rounded } from '../report/table.ts';
import { type Stage, sessions } from '../stage.ts';

const blockMs = 20_000;
const minuteMs = 60_000;
/** Less growth than this in an hour is what an allocator does; more of it, and a day of it fills the limit of a pod. */
const flatMbPerHour = 5;

interface Sample {
  readonly hours: number;
  readonly rss: Readonly<Record<string, number>>;
  readonly pss: Readonly<Record<string, number>>;
}

/**
 * Half of what the system carries, for long: whether memory stays flat. The first third is left out of the trend: caches
 * fill, code is compiled.
 */
export async function measureSoak(stage: Stage, say: (line: string) => void): Promise<Section> {
  const { plan, system } = stage;
  await stage.useNode(1, {});
  const request = { kind: 'sign', keys: await stage.keys('ed25519', plan.keys) } as const;
  await runSystem(stage, { request, pace: { inFlight: plan.inFlight }, ms: plan.warmMs });
  const full = await runSystem(stage, { request, pace: { inFlight: plan.inFlight }, ms: plan.warmMs });
  const perSecond = Math.round(full.result.perSecond / 2);
  const primary = stage.node(1).pid;
  const processes = { primary, worker: childrenOf(primary)[0] ?? -1, API: system.api.pid };
  const names = Object.keys(processes) as (keyof typeof processes)[];
  const read = (of: (pid: number) => number) => Object.fromEntries(names.map((name) => [name, of(processes[name])]));
  const series: Sample[] = [];
  let toldMinute = -1;
  const began = performance.now();
  while (performance.now() - began < plan.soakMs) {
    const { result } = await runSystem(stage, { request, pace: { perSecond }, ms: Math.min(blockMs, plan.soakMs) });
    const passedMs = performance.now() - began;
    const sample = { hours: passedMs / 3_600_000, rss: read(residentMb), pss: read(proportionalMb) };
    series.push(sample);
    if (Math.floor(passedMs / minuteMs) === toldMinute) continue;
    toldMinute = Math.floor(passedMs / minuteMs);
    const sizes = names.map((name) => `${name} ${rounded(sample.rss[name] ?? 0)}/${rounded(sample.pss[name] ?? 0)}`);
    say(`  minute ${toldMinute}: ${rounded(result.perSecond)}/s; RSS/PSS in MB: ${sizes.join(', ')}`);
  }
  const settled = series.slice(Math.floor(series.length / 3));
  const kept = await keptByToken(stage);
  // Sizes of processes are in units of 2^20 bytes.
  const inMb = (bytes: number): number => (bytes * perSecond * 3_600) / 2 ** 20;
  const byToken = { slope: inMb(kept.slope), error: inMb(kept.error) };
  return {
    title: 'Soak',
    about: `${Math.round(plan.soakMs / minuteMs)} minutes of ${perSecond} ed25519 signatures a second, half of what the system carried; the first third is left out. Growth is the straight line through the samples of PSS. The token’s library lives in the worker and may keep memory of its own: what the raw loop alone keeps of a signature is taken off the worker’s growth. Flat: less than ${flatMbPerHour} MB an hour, or not told apart from none (two standard errors).`,
    figures: [
      {
        id: 'soak token',
        what: `token, bytes kept of a signature ± ${rounded(kept.error)}`,
        unit: 'B',
        samples: [kept.slope],
      },
      { id: 'soak token growth', what: 'token, growth at this rate', unit: 'MB/h', samples: [byToken.slope] },
      ...names.flatMap((name) => figuresOf(name, settled, name === 'worker' ? byToken : none)),
    ],
  };
}

const none: Trend = { slope: 0, error: 0 };

/** Bytes that the token’s library keeps of each signature: of a process that does nothing but the calls. */
async function keptByToken({ raw }: Stage): Promise<Trend> {
  const run = (ms: number) => raw.ask('run', { curve: 'ed25519', work: 'strict', threads: sessions, ms } as const);
  await run(10_000);
  const points: Point[] = [];
  let signatures = 0;
  for (let block = 0; block < 8; block += 1) {
    const ms = 8_000;
    signatures += ((await run(ms)).perSecond * ms) / 1_000;
    points.push({ x: signatures, y: proportionalMb(raw.pid) * 2 ** 20 });
  }
  return trend(points);
}

function figuresOf(name: string, settled: readonly Sample[], byToken: Trend): Figure[] {
  const points = (of: 'rss' | 'pss'): Point[] =>
    settled.map((one) => ({ x: one.hours, y: one[of][name] ?? Number.NaN }));
  const whole = trend(points('pss'));
  const [slope, error] = [whole.slope - byToken.slope, Math.hypot(whole.error, byToken.error)];
  return [
    { id: `soak ${name} rss`, what: `${name}, RSS`, unit: 'MB', samples: points('rss').map(({ y }) => y) },
    { id: `soak ${name} pss`, what: `${name}, PSS`, unit: 'MB', samples: points('pss').map(({ y }) => y) },
    { id: `soak ${name} slope`, what: `${name}, growth ± ${rounded(error)}`, unit: 'MB/h', samples: [slope] },
    {
      id: `soak ${name} growth`,
      what: `${name}, growth that is sure`,
      unit: 'MB/h',
      samples: [Math.max(0, slope - 2 * error)],
      target: { most: flatMbPerHour },
    },
  ];
}
