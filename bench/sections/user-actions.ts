import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

/** What an unmodified SDK does: two calls and a signature of the credential before each request. */
export async function measureUserActions(stage: Stage): Promise<Section> {
  const { plan } = stage;
  await stage.useNode(1, {});
  const request = { kind: 'sign', keys: await stage.keys('secp256k1', plan.keys) } as const;
  const options = { request, pace: { inFlight: plan.inFlight }, ms: plan.blockMs };
  const pairs = await interleave(
    plan.rounds,
    () => runSystem(stage, { ...options, userActions: true }),
    () => runSystem(stage, options),
  );
  return {
    title: 'User actions',
    about:
      'The whole system with the two calls that an SDK makes before each request, against the same without them; secp256k1.',
    figures: [
      {
        id: 'user actions',
        what: 'with user actions',
        unit: '/s',
        samples: pairs.map(({ one }) => one.result.perSecond),
      },
      { id: 'no user actions', what: 'without', unit: '/s', samples: pairs.map(({ other }) => other.result.perSecond) },
      {
        id: 'user actions share',
        what: 'with ÷ without',
        unit: '%',
        samples: pairs.map(({ one, other }) => (100 * one.result.perSecond) / other.result.perSecond),
      },
      {
        id: 'user actions cpu api',
        what: 'CPU that they cost the API and PostgreSQL, a request',
        unit: 'ms',
        samples: pairs.map(({ one, other }) => one.cpu.api + one.cpu.postgres - other.cpu.api - other.cpu.postgres),
      },
    ],
  };
}
