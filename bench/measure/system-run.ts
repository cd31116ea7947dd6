import type { LoadRequest, LoadResult, Pace } from '../load/calls.ts';
import type { Stage } from '../stage.ts';
import { childrenOf, cpuMsOf, cpuMsOfFamily } from './processes.ts';

/** CPU time of one finished request, in milliseconds, by where it was spent. */
export interface CpuByProcess {
  readonly primary: number;
  /** PKCS#11 included. */
  readonly worker: number;
  readonly pkcs11: number;
  readonly api: number;
  readonly postgres: number;
  readonly load: number;
}

export interface SystemRun {
  readonly result: LoadResult;
  readonly cpu: CpuByProcess;
}

export interface SystemRunOptions {
  readonly request: LoadRequest;
  readonly pace: Pace;
  readonly ms: number;
  readonly userActions?: boolean;
  /** The nodes that run. */
  readonly nodes?: readonly number[];
}

/** Rates seen so far by kind of request: how many user actions the next run will need. */
const guessPerSecond = 1_500;

/** One run of the whole system under load, and what each process used for it. */
export async function runSystem(stage: Stage, options: SystemRunOptions): Promise<SystemRun> {
  const { request, pace, ms, userActions = false, nodes = [1] } = options;
  if (!userActions) {
    const perSecond = 'perSecond' in pace ? pace.perSecond : fastest(request) * 1.3;
    const count = Math.ceil((perSecond * ms) / 1_000) + ('inFlight' in pace ? pace.inFlight : 10);
    await stage.load.ask('prepare', { request, count });
  }
  const pids = processesOf(stage, nodes);
  const pkcs11Before = await pkcs11CpuMs(stage, nodes);
  const before = sample(pids);
  const result = await stage.load.ask('run', { request, pace, ms, userActions });
  const after = sample(pids);
  const pkcs11 = (await pkcs11CpuMs(stage, nodes)) - pkcs11Before;
  if (result.failed > 0) throw new Error(`${result.failed} requests failed, the first: ${result.failure}`);
  if ('inFlight' in pace) noteRate(request, result.perSecond);
  const each = (part: keyof typeof pids): number => (after[part] - before[part]) / result.done;
  return {
    result,
    cpu: {
      primary: each('primary'),
      worker: each('worker'),
      pkcs11: pkcs11 / result.done,
      api: each('api'),
      postgres: each('postgres'),
      load: each('load'),
    },
  };
}

const rates = new Map<string, number>();
const kindOf = (request: LoadRequest): string =>
  request.kind === 'sign' ? request.keys.curve : `generate ${request.curve}`;
const fastest = (request: LoadRequest): number => rates.get(kindOf(request)) ?? guessPerSecond;
function noteRate(request: LoadRequest, perSecond: number): void {
  rates.set(kindOf(request), Math.max(perSecond, rates.get(kindOf(request)) ?? 0));
}

function processesOf({ system, node, load }: Stage, nodes: readonly number[]) {
  const primaries = nodes.map((n) => node(n).pid);
  return {
    primary: primaries,
    worker: primaries.flatMap(childrenOf),
    api: [system.api.pid],
    postgres: [system.server.pid],
    load: [load.pid],
  };
}

function sample(pids: ReturnType<typeof processesOf>): Record<keyof ReturnType<typeof processesOf>, number> {
  const { primary, worker, api, postgres, load } = pids;
  return {
    primary: cpuMsOf(primary),
    worker: cpuMsOf(worker),
    api: cpuMsOf(api),
    // A backend for each connection, and those that vacuum: they come and go.
    postgres: postgres.reduce((sum, pid) => sum + cpuMsOfFamily(pid), 0),
    load: cpuMsOf(load),
  };
}

async function pkcs11CpuMs(stage: Stage, nodes: readonly number[]): Promise<number> {
  let sum = 0;
  for (const n of nodes) {
    const { slots } = await stage.status(n);
    sum += slots.reduce((total, { threads }) => total + (threads?.pkcs11CpuMs ?? 0), 0);
  }
  return sum;
}
