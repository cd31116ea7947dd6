import { repeat } from '../measure/interleave.ts';
import { rawWorks } from '../raw-loop/calls.ts';
import type { Figure, Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

const threadCounts = [1, 2, 4] as const;
const curves = ['secp256k1', 'ed25519'] as const;

/** The token alone: what everything else is measured against. */
export async function measureRaw({ plan, raw }: Stage): Promise<Section> {
  const combinations = curves.flatMap((curve) =>
    rawWorks.flatMap((work) => threadCounts.map((threads) => ({ curve, work, threads, ms: plan.rawMs }))),
  );
  // Round by round over all of them, not one after the other: what the machine does meanwhile meets all alike.
  const rounds = await repeat(plan.rounds, async () => {
    const rates = [];
    for (const combination of combinations) rates.push(await raw.ask('run', combination));
    return rates;
  });
  const figures = combinations.map(
    ({ curve, work, threads }, at): Figure => ({
      id: `raw ${curve} ${work} ${threads}`,
      what: `${curve}, ${words[work]}, ${threads} thread${threads === 1 ? '' : 's'}`,
      unit: '/s',
      samples: rounds.map((rates) => rates[at]?.perSecond ?? Number.NaN),
    }),
  );
  const cpu = combinations.flatMap(({ curve, work, threads }, at): Figure[] =>
    threads !== 2
      ? []
      : [
          {
            id: `raw ${curve} ${work} cpu`,
            what: `${curve}, ${words[work]}, CPU time of one`,
            unit: 'ms',
            samples: rounds.map((rates) => rates[at]?.cpuMs ?? Number.NaN),
          },
        ],
  );
  return {
    title: 'The token alone',
    about:
      'Loops of PKCS#11 calls on node 1’s token, each thread with a session of its own, through the driver’s binding.',
    figures: [...figures, ...cpu],
  };
}

const words = {
  strict: 'unwrap + sign + destroy',
  kept: 'sign with kept handles',
  generate: 'generate + wrap',
} as const;
