import { join } from 'node:path';
import { startChild } from '../child/start.ts';
import type { DriverAloneCalls } from '../driver-alone/calls.ts';
import { interleave } from '../measure/interleave.ts';
import type { Figure, Section } from '../report/figures.ts';
import { type Stage, sessions } from '../stage.ts';

export const driverAloneProcess = join(import.meta.dirname, '../driver-alone/process.ts');

/** The driver without API and wire: session threads, journal and database, fed from memory. */
export async function measureDriverAlone(stage: Stage): Promise<Section> {
  const { plan, raw, releasers } = stage;
  await stage.useNode(1, {});
  const alone = startChild<DriverAloneCalls>(driverAloneProcess, releasers);
  await alone.ask('open', { configFile: stage.configFile(1) });
  const figures: Figure[] = [];
  for (const curve of ['secp256k1', 'ed25519'] as const) {
    const keyIds = await alone.ask('createKeys', { curve, count: plan.keys });
    const run = () => alone.ask('run', { curve, keyIds, ms: plan.blockMs });
    await run();
    const pairs = await interleave(
      plan.rounds,
      () => raw.ask('run', { curve, work: 'strict', threads: sessions, ms: plan.rawMs }),
      run,
    );
    for (const { other } of pairs) if (other.failed > 0) throw new Error(other.failure);
    figures.push(
      {
        id: `${curve} alone`,
        what: `${curve}, driver alone`,
        unit: '/s',
        samples: pairs.map(({ other }) => other.perSecond),
      },
      {
        id: `${curve} alone share`,
        what: `${curve}, driver alone ÷ raw loop`,
        unit: '%',
        samples: pairs.map(({ one, other }) => (100 * other.perSecond) / one.perSecond),
      },
      {
        id: `${curve} alone cpu`,
        what: `${curve}, CPU of the driver beyond PKCS#11`,
        unit: 'ms',
        samples: pairs.map(({ other }) => other.cpuMs - other.pkcs11CpuMs),
        target: { most: 0.25 },
      },
    );
  }
  await alone.stop();
  return {
    title: 'The driver alone',
    about:
      'A worker’s session threads, journal and jobs, fed from a queue in memory: no API, no wire, no load generator.',
    figures,
  };
}
