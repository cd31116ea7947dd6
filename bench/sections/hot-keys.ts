import { startChild } from '../child/start.ts';
import type { DriverAloneCalls } from '../driver-alone/calls.ts';
import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Figure, Section } from '../report/figures.ts';
import { type Stage, sessions } from '../stage.ts';
import { driverAloneProcess } from './driver-alone.ts';

const hotKeys = 100;
const keptMs = 60_000;

/** A hundred keys that sign all the time: requests that share an unwrap, and keys that stay unwrapped for a while. */
export async function measureHotKeys(stage: Stage): Promise<Section> {
  const curve = 'secp256k1';
  const { plan, raw, releasers } = stage;
  const keys = await stage.keys(curve, hotKeys);
  const strict = () => raw.ask('run', { curve, work: 'strict', threads: sessions, ms: plan.rawMs });
  const figures: Figure[] = [];
  for (const unwrappedKeyTtlMs of [0, keptMs]) {
    await stage.useNode(1, unwrappedKeyTtlMs === 0 ? {} : { unwrappedKeyTtlMs });
    const options = { request: { kind: 'sign', keys }, pace: { inFlight: plan.inFlight }, ms: plan.blockMs } as const;
    await runSystem(stage, { ...options, ms: plan.warmMs });
    const pairs = await interleave(plan.rounds, strict, () => runSystem(stage, options));
    const how = unwrappedKeyTtlMs === 0 ? 'unwrapped once a batch' : 'kept unwrapped for a minute';
    figures.push(
      {
        id: `hot system ${unwrappedKeyTtlMs}`,
        what: `system, ${how}`,
        unit: '/s',
        samples: pairs.map(({ other }) => other.result.perSecond),
      },
      {
        id: `hot system ${unwrappedKeyTtlMs} share`,
        what: `system, ${how} ÷ strictly stateless raw loop`,
        unit: '%',
        samples: pairs.map(({ one, other }) => (100 * other.result.perSecond) / one.perSecond),
        ...(unwrappedKeyTtlMs === 0 ? {} : { target: { least: 150 } }),
      },
      {
        id: `hot system ${unwrappedKeyTtlMs} pkcs11`,
        what: `CPU inside PKCS#11 a signature, ${how}`,
        unit: 'ms',
        samples: pairs.map(({ other }) => other.cpu.pkcs11),
      },
    );
  }
  const alone = startChild<DriverAloneCalls>(driverAloneProcess, releasers);
  await alone.ask('open', { configFile: stage.configFile(1) });
  const keyIds = await alone.ask('createKeys', { curve, count: hotKeys });
  const run = () => alone.ask('run', { curve, keyIds, ms: plan.blockMs });
  await run();
  const pairs = await interleave(plan.rounds, strict, run);
  await alone.stop();
  figures.push({
    id: 'hot alone share',
    what: 'driver alone, kept unwrapped for a minute ÷ strictly stateless raw loop',
    unit: '%',
    samples: pairs.map(({ one, other }) => (100 * other.perSecond) / one.perSecond),
    target: { least: 150 },
  });
  return {
    title: 'A hundred hot keys',
    about: 'secp256k1, requests spread over a hundred keys, against the strictly stateless raw loop.',
    figures,
  };
}
