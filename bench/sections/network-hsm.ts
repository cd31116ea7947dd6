import { join } from 'node:path';
import { buildFaultModule, openFaultControl } from '../../test/support/fault-module/fault-module.ts';
import { startChild } from '../child/start.ts';
import type { DriverAloneCalls } from '../driver-alone/calls.ts';
import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { RawLoopCalls } from '../raw-loop/calls.ts';
import type { Figure, Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';
import { driverAloneProcess } from './driver-alone.ts';

const rawLoopProcess = join(import.meta.dirname, '../raw-loop/process.ts');

/** Latencies of C_UnwrapKey and of C_Sign. At 5 ms, 32 sessions ask more of the software token than two cores give. */
const cases = [
  { latencyMs: 5, sessions: 1 },
  { latencyMs: 5, sessions: 8 },
  { latencyMs: 5, sessions: 32 },
  { latencyMs: 25, sessions: 32 },
] as const;

/** More than are ever on their way to 32 sessions; making them takes the time of the measurement. */
const networkKeys = 256;

/** An HSM at the other end of a network: the same token behind a module that waits before each unwrap and each signature. */
export async function measureNetworkHsm(stage: Stage): Promise<Section> {
  const { plan, system } = stage;
  const module = await buildFaultModule();
  const control = openFaultControl(join(system.places.root, 'network-hsm'), stage.slot(1).module);
  const figures: Figure[] = [];
  for (const { latencyMs, sessions } of cases) {
    // No latency while keys are looked for and proven.
    control.clear();
    const environment = { ...stage.slot(1).environment, ...control.environment };
    const slot = { ...stage.slot(1), module, environment, sessions };
    await stage.useNode(1, { module, environment, sessions });
    const raw = startChild<RawLoopCalls>(rawLoopProcess, stage.releasers);
    await raw.ask('open', { slot, ceremonyFile: system.places.ceremonyFile, threads: sessions });
    const alone = startChild<DriverAloneCalls>(driverAloneProcess, stage.releasers);
    await alone.ask('open', { configFile: stage.configFile(1) });
    const curve = 'ed25519';
    const count = Math.min(plan.keys, networkKeys);
    const keyIds = await alone.ask('createKeys', { curve, count });
    const request = { kind: 'sign', keys: await stage.keys(curve, count) } as const;
    control.set([{ action: 'latency', ms: latencyMs, on: ['C_UnwrapKey', 'C_Sign'] }]);
    const rawRun = () => raw.ask('run', { curve, work: 'strict', threads: sessions, ms: plan.rawMs });
    const aloneRun = () => alone.ask('run', { curve, keyIds, ms: plan.blockMs });
    // Enough that sessions never wait for requests: beside those in the HSM, others wait for disks and wires.
    const inFlight = Math.max(plan.inFlight, 4 * sessions);
    const systemRun = () => runSystem(stage, { request, pace: { inFlight }, ms: plan.blockMs });
    await rawRun();
    await aloneRun();
    await systemRun();
    const alones = await interleave(plan.rounds, rawRun, aloneRun);
    const systems = await interleave(plan.rounds, rawRun, systemRun);
    const name = `${sessions} session${sessions === 1 ? '' : 's'}, ${latencyMs} ms`;
    const target = sessions >= 8 ? { target: { least: 95 } } : {};
    figures.push(
      {
        id: `network ${name} raw`,
        what: `${name}, raw loop`,
        unit: '/s',
        samples: alones.map(({ one }) => one.perSecond),
      },
      {
        id: `network ${name} alone`,
        what: `${name}, driver alone ÷ raw loop`,
        unit: '%',
        samples: alones.map(({ one, other }) => (100 * other.perSecond) / one.perSecond),
        ...target,
      },
      {
        id: `network ${name} system`,
        what: `${name}, system ÷ raw loop`,
        unit: '%',
        samples: systems.map(({ one, other }) => (100 * other.result.perSecond) / one.perSecond),
        ...target,
      },
    );
    control.clear();
    await Promise.all([raw.stop(), alone.stop()]);
  }
  await stage.useNode(1, {});
  return {
    title: 'A network HSM',
    about:
      'ed25519, so many ms of latency before each C_UnwrapKey and each C_Sign, against the same threads on the token alone.',
    figures,
  };
}
