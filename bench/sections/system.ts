import type { LoadCurve } from '../load/calls.ts';
import { interleave } from '../measure/interleave.ts';
import { childrenOf, residentMb } from '../measure/processes.ts';
import { type CpuByProcess, runSystem, type SystemRun } from '../measure/system-run.ts';
import type { Figure, Section } from '../report/figures.ts';
import { type Stage, sessions } from '../stage.ts';

/** Shares of the raw rate that the whole system must reach. */
const leastShare = { secp256k1: 65, ed25519: 35 } as const;
const mostBeyondMs = 0.5;
const mostWorkerMs = 0.25;

/** The whole system, strictly stateless, against the raw loop on the same token, in turn. */
export async function measureSystem(stage: Stage): Promise<Section> {
  const figures: Figure[] = [];
  const memory: Memory[] = [];
  for (const curve of ['secp256k1', 'ed25519'] as const) figures.push(...(await ofCurve(stage, curve, memory)));
  return {
    title: 'The whole system, strictly stateless',
    about:
      'Signatures through API, queue, mutual TLS, one driver node and both databases, user actions made before; load generator on the same cores. ' +
      `${stage.plan.inFlight} requests on their way. Memory: resident, after each of these runs${stage.plan.built ? '' : ', from the sources'}.`,
    figures: [...figures, ...memoryFigures(memory)],
  };
}

async function ofCurve(stage: Stage, curve: LoadCurve, memory: Memory[]): Promise<Figure[]> {
  const { plan, raw } = stage;
  await stage.useNode(1, {});
  const request = { kind: 'sign', keys: await stage.keys(curve, plan.keys) } as const;
  const options = { request, pace: { inFlight: plan.inFlight }, ms: plan.blockMs };
  await runSystem(stage, { ...options, ms: plan.warmMs });
  const pairs = await interleave(
    plan.rounds,
    () => raw.ask('run', { curve, work: 'strict', threads: sessions, ms: plan.rawMs }),
    async () => {
      const run = await runSystem(stage, options);
      memory.push(memoryOf(stage));
      return run;
    },
  );
  const runs = pairs.map(({ other }) => other);
  return [
    { id: `${curve} raw`, what: `${curve}, raw loop`, unit: '/s', samples: pairs.map(({ one }) => one.perSecond) },
    {
      id: `${curve} system`,
      what: `${curve}, system`,
      unit: '/s',
      samples: runs.map(({ result }) => result.perSecond),
    },
    {
      id: `${curve} share`,
      what: `${curve}, system ÷ raw loop`,
      unit: '%',
      samples: pairs.map(({ one, other }) => (100 * other.result.perSecond) / one.perSecond),
      target: { least: leastShare[curve] },
    },
    { id: `${curve} p50`, what: `${curve}, latency p50`, unit: 'ms', samples: runs.map(({ result }) => result.p50Ms) },
    ...cpuFigures(curve, runs),
  ];
}

export function cpuFigures(name: string, runs: readonly SystemRun[]): Figure[] {
  const of = (what: string, value: (cpu: CpuByProcess) => number): Figure => ({
    id: `${name} cpu ${what}`,
    what: `${name}, CPU a request, ${what}`,
    unit: 'ms',
    samples: runs.map(({ cpu }) => value(cpu)),
  });
  return [
    of('inside PKCS#11', (cpu) => cpu.pkcs11),
    { ...of('worker beyond PKCS#11', (cpu) => cpu.worker - cpu.pkcs11), target: { most: mostWorkerMs } },
    of('primary', (cpu) => cpu.primary),
    of('API', (cpu) => cpu.api),
    of('PostgreSQL', (cpu) => cpu.postgres),
    of('load generator', (cpu) => cpu.load),
    {
      ...of('all but PKCS#11 and load', (cpu) => cpu.worker - cpu.pkcs11 + cpu.primary + cpu.api + cpu.postgres),
      target: { most: mostBeyondMs },
    },
  ];
}

interface Memory {
  readonly primary: number;
  readonly worker: number;
  readonly api: number;
}

function memoryOf({ system, node }: Stage): Memory {
  const primary = node(1).pid;
  const [worker = -1] = childrenOf(primary);
  return { primary: residentMb(primary), worker: residentMb(worker), api: residentMb(system.api.pid) };
}

function memoryFigures(memory: readonly Memory[]): Figure[] {
  const of = (what: keyof Memory): number[] => memory.map((one) => one[what]);
  return [
    { id: 'rss primary', what: 'memory, primary', unit: 'MB', samples: of('primary'), target: { most: 100 } },
    {
      id: 'rss worker',
      what: `memory, worker with ${sessions} session threads`,
      unit: 'MB',
      samples: of('worker'),
      target: { most: 120 + 9 * sessions },
    },
    { id: 'rss api', what: 'memory, API', unit: 'MB', samples: of('api') },
  ];
}
