import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Figure, Section } from '../report/figures.ts';
import { type Stage, sessions } from '../stage.ts';

/** Keys made through the whole system, against generate and wrap on the token alone. */
export async function measureKeyGeneration(stage: Stage): Promise<Section> {
  const { plan, raw } = stage;
  await stage.useNode(1, {});
  const figures: Figure[] = [];
  for (const curve of ['secp256k1', 'ed25519'] as const) {
    const options = {
      request: { kind: 'generate', curve } as const,
      pace: { inFlight: Math.min(plan.inFlight, 48) },
      ms: plan.blockMs,
    };
    const pairs = await interleave(
      plan.rounds,
      () => raw.ask('run', { curve, work: 'generate', threads: sessions, ms: plan.rawMs }),
      () => runSystem(stage, options),
    );
    figures.push(
      {
        id: `${curve} generate raw`,
        what: `${curve}, raw loop`,
        unit: '/s',
        samples: pairs.map(({ one }) => one.perSecond),
      },
      {
        id: `${curve} generate`,
        what: `${curve}, keys through the system`,
        unit: '/s',
        samples: pairs.map(({ other }) => other.result.perSecond),
      },
    );
  }
  return {
    title: 'Key generation',
    about:
      'POST /keys to its answer. A key of the system costs more calls than the raw loop’s: its blob is opened again and signs, its row is tagged, its public key attested.',
    figures,
  };
}
