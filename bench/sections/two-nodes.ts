import { join } from 'node:path';
import { buildFaultModule, openFaultControl } from '../../test/support/fault-module/fault-module.ts';
import { runSystem, type SystemRun } from '../measure/system-run.ts';
import type { Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

const sessions = 4;
const latencyMs = 10;

/** Whether a second node brings what it has: with HSMs at the other end of a network, so that cores are not the limit. */
export async function measureTwoNodes(stage: Stage): Promise<Section> {
  const { plan, system } = stage;
  const module = await buildFaultModule();
  const control = openFaultControl(join(system.places.root, 'two-nodes'), stage.slot(1).module);
  control.clear();
  const slow = (n: number) => ({
    module,
    environment: { ...stage.slot(n).environment, ...control.environment },
    sessions,
  });
  const request = { kind: 'sign', keys: await stage.keys('ed25519', plan.keys) } as const;
  const run = (nodes: readonly number[]) =>
    runSystem(stage, { request, pace: { inFlight: plan.inFlight }, ms: plan.blockMs, nodes });
  await stage.useNode(1, slow(1));
  const ones: SystemRun[] = [];
  const twos: SystemRun[] = [];
  for (let round = 0; round < plan.rounds; round += 1) {
    control.set([{ action: 'latency', ms: latencyMs, on: ['C_UnwrapKey', 'C_Sign'] }]);
    ones.push(await run([1]));
    control.clear();
    await stage.useNode(2, slow(2));
    control.set([{ action: 'latency', ms: latencyMs, on: ['C_UnwrapKey', 'C_Sign'] }]);
    await run([1, 2]);
    twos.push(await run([1, 2]));
    await stage.stopNode(2);
  }
  control.clear();
  await stage.useNode(1, {});
  return {
    title: 'One node and two',
    about: `ed25519, each node with ${sessions} sessions on an HSM with ${latencyMs} ms of latency before each unwrap and signature.`,
    figures: [
      { id: 'one node', what: 'one node', unit: '/s', samples: ones.map(({ result }) => result.perSecond) },
      { id: 'two nodes', what: 'two nodes', unit: '/s', samples: twos.map(({ result }) => result.perSecond) },
      {
        id: 'two nodes share',
        what: 'two nodes ÷ one',
        unit: '%',
        samples: twos.map(({ result }, at) => (100 * result.perSecond) / (ones[at]?.result.perSecond ?? Number.NaN)),
      },
    ],
  };
}
