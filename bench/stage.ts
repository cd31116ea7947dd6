import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import type { ApiFile, NodeFile } from '../scripts/local/installation.ts';
import { fromSources, type LocalProcess, type Program } from '../scripts/local/processes.ts';
import { type LocalSystem, startSystem } from '../scripts/local/system.ts';
import type { NodeStatus } from '../src/primary/operations/status.ts';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import { loadConfiguration } from '../src/shared/configuration/load.ts';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import type { Releasers } from '../src/shared/releasers.ts';
import { type Child, startChild } from './child/start.ts';
import type { LoadCalls, LoadCurve, LoadKeys } from './load/calls.ts';
import type { Plan } from './plan.ts';
import type { RawLoopCalls } from './raw-loop/calls.ts';

/** What is measured: the system as `npm start` runs it, one node of it at work, and the processes that measure. */
export interface Stage {
  readonly plan: Plan;
  readonly system: LocalSystem;
  readonly releasers: Releasers;
  readonly load: Child<LoadCalls>;
  /** On node 1's token. */
  readonly raw: Child<RawLoopCalls>;
  /** The process of a node that runs. */
  node(n: number): LocalProcess;
  /** Starts a node with a slot of another configuration, or with `more` of its own; the same one again costs nothing. */
  useNode(n: number, slot: Partial<NodeFile['slots'][number]>, more?: Partial<NodeFile>): Promise<void>;
  stopNode(n: number): Promise<void>;
  status(n: number): Promise<NodeStatus>;
  configFile(n: number): string;
  slot(n: number): SlotConfiguration;
  /** Keys that exist; made when there are too few. */
  keys(curve: LoadCurve, count: number): Promise<LoadKeys>;
}

/** Threads of the raw loop at most. */
export const rawThreads = 4;
/** Session threads of the measured slot: one a core, the best layout for a token that computes on this machine. */
export const sessions = 2;
const connections = 256;

/** Limits that keep one caller from taking a process are not what is measured. */
function withoutLimits(file: ApiFile): ApiFile {
  return {
    ...file,
    rateLimit: { perSecond: 1_000_000, burst: 1_000_000 },
    queue: { openRequestsPerOrganisation: 100_000 },
  };
}

export async function openStage(
  plan: Plan,
  directory: string,
  module: string,
  releasers: Releasers,
  program: Program = fromSources,
): Promise<Stage> {
  const system = await startSystem({
    directory,
    module,
    ports: { application: 0, driver: 0 },
    durable: true,
    adjust: {
      api: withoutLimits,
      node: (file) => ({ ...file, slots: file.slots.map((slot) => ({ ...slot, sessions, measureCpu: true })) }),
    },
    program,
    say: () => {},
    releasers,
  });
  const { places } = system;
  const running = new Map<number, LocalProcess>(system.nodes.map((node, at) => [at + 1, node]));
  const used = new Map<number, string>();
  const configFile = (n: number): string => join(places.node(n), 'config.yaml');
  const original = new Map([1, 2].map((n) => [n, parse(readFileSync(configFile(n), 'utf8')) as NodeFile]));

  async function stopNode(n: number): Promise<void> {
    await running.get(n)?.stop();
    running.delete(n);
  }
  async function useNode(
    n: number,
    change: Partial<NodeFile['slots'][number]>,
    more: Partial<NodeFile> = {},
  ): Promise<void> {
    const wanted = JSON.stringify([change, more]);
    if (running.has(n) && (used.get(n) ?? '[{},{}]') === wanted) return;
    await stopNode(n);
    const file = original.get(n) as NodeFile;
    const slots = file.slots.map((slot) => ({ ...slot, ...change }));
    writeFileSync(configFile(n), stringify({ ...file, ...more, slots }));
    used.set(n, wanted);
    const node = system.startNode(n);
    running.set(n, node);
    await node.line('slot ready');
  }

  const load = startChild<LoadCalls>(join(import.meta.dirname, 'load/process.ts'), releasers);
  await load.ask('open', {
    client: system.client,
    userActionSecretFile: join(places.root, 'secrets/user-action-secret'),
    connections,
  });
  const raw = startChild<RawLoopCalls>(join(import.meta.dirname, 'raw-loop/process.ts'), releasers);
  const slot = (n: number): SlotConfiguration => {
    const [first] = loadConfiguration(configFile(n), driverConfiguration).slots;
    if (first === undefined) throw new Error('a node has a slot');
    return first;
  };
  await raw.ask('open', { slot: slot(1), ceremonyFile: places.ceremonyFile, threads: rawThreads });
  const keysOf = new Map<LoadCurve, LoadKeys>();
  await stopNode(2);

  return {
    plan,
    system,
    releasers,
    load,
    raw,
    node(n) {
      const node = running.get(n);
      if (node === undefined) throw new Error(`node ${n} does not run`);
      return node;
    },
    useNode,
    stopNode,
    configFile,
    slot,
    async status(n) {
      // A worker reports once a second: what it did last is in it by then.
      await sleep(1_100);
      const answer = await fetch(`http://127.0.0.1:${system.ports.operations[n]}/status`);
      return (await answer.json()) as NodeStatus;
    },
    async keys(curve, count) {
      const before = keysOf.get(curve)?.ids ?? [];
      const more = count - before.length;
      const ids = more > 0 ? [...before, ...(await load.ask('createKeys', { curve, count: more })).ids] : before;
      keysOf.set(curve, { curve, ids });
      return { curve, ids: ids.slice(0, count) };
    },
  };
}
