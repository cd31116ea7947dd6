import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Figure, Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

/** What the system adds to the time of the HSM itself, for one request at a time; and latencies at half load. */
export async function measureLatency(stage: Stage): Promise<Section> {
  const { plan, raw } = stage;
  await stage.useNode(1, {});
  const curve = 'secp256k1';
  const request = { kind: 'sign', keys: await stage.keys(curve, plan.keys) } as const;
  const idle = await interleave(
    plan.rounds,
    () => raw.ask('run', { curve, work: 'strict', threads: 1, ms: plan.rawMs }),
    () => runSystem(stage, { request, pace: { inFlight: 1 }, ms: plan.blockMs }),
  );
  const full = await interleave(
    plan.rounds,
    () => runSystem(stage, { request, pace: { inFlight: plan.inFlight }, ms: plan.blockMs }),
    async () => undefined,
  );
  const best = Math.max(...full.map(({ one }) => one.result.perSecond));
  const half = await interleave(
    plan.rounds,
    () => runSystem(stage, { request, pace: { perSecond: best / 2 }, ms: plan.blockMs }),
    async () => undefined,
  );
  const hsmMs = idle.map(({ one }) => one.eachMs);
  const figure = (id: string, what: string, samples: readonly number[]): Figure => ({ id, what, unit: 'ms', samples });
  return {
    title: 'Latency',
    about:
      'From an application’s POST to its whole answer, user actions made before, secp256k1. Added: minus the raw loop’s time for one.',
    figures: [
      figure('latency hsm', 'the HSM’s own time (raw loop, one thread)', hsmMs),
      figure(
        'latency idle p50',
        'one at a time, p50',
        idle.map(({ other }) => other.result.p50Ms),
      ),
      {
        ...figure(
          'added p50',
          'one at a time, added p50',
          idle.map(({ one, other }) => other.result.p50Ms - one.eachMs),
        ),
        target: { most: 4 },
      },
      {
        ...figure(
          'added p99',
          'one at a time, added p99',
          idle.map(({ one, other }) => other.result.p99Ms - one.eachMs),
        ),
        target: { most: 15 },
      },
      figure(
        'latency half p50',
        `half load (${Math.round(best / 2)}/s), p50`,
        half.map(({ one }) => one.result.p50Ms),
      ),
      figure(
        'latency half p99',
        'half load, p99',
        half.map(({ one }) => one.result.p99Ms),
      ),
    ],
  };
}
