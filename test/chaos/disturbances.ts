import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '../../scripts/local/processes.ts';
import { type FaultSystem, nodeTag } from '../faults/fault-system.ts';
import type { FaultRule } from '../support/fault-module/fault-module.ts';
import { until } from '../support/until.ts';
import type { Random } from './random.ts';

/** One thing that goes wrong at one place and is over when it returns; its consequences go on. */
export interface Disturbance {
  readonly name: string;
  run(system: FaultSystem, random: Random): Promise<void>;
}

const anyNode = (random: Random): 1 | 2 => random.of([1, 2] as const);

async function signalWorker(system: FaultSystem, n: number, signal: NodeJS.Signals): Promise<void> {
  const pid = (await system.status(n))?.slots[0]?.worker?.pid;
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It ended meanwhile: that is disturbance enough.
  }
}

function hsm(name: string, rule: (tag: string) => FaultRule): Disturbance {
  return {
    name: `HSM: ${name}`,
    async run({ control }, random) {
      control.set([rule(nodeTag(anyNode(random)))]);
      await sleep(random.between(200, 2_000));
      control.clear();
    },
  };
}

function restart(signal: NodeJS.Signals): Disturbance {
  return {
    name: `node restarted with ${signal}`,
    run: (system, random) => system.restartNode(anyNode(random), signal),
  };
}

/** A right PIN that one token refuses for a while; an operator then allows one more try. */
const refusedPin: Disturbance = {
  name: 'a PIN is refused, and cleared',
  async run(system, random) {
    const n = anyNode(random);
    const isLatched = async () => (await system.status(n))?.slots[0]?.state === 'latched';
    system.control.set([{ action: 'wrong-pin', tag: nodeTag(n) }]);
    await until(`node ${n} has a worker`, async () => (await system.status(n))?.slots[0]?.worker !== undefined);
    await signalWorker(system, n, 'SIGKILL');
    await until(`node ${n} is latched`, isLatched, 60_000);
    system.control.clear();
    const config = join(system.system.places.node(n), 'config.yaml');
    await runCommand(['pin', 'clear', '--config', config, '--slot', `hsm-${n}`, '--yes']);
  },
};

export const disturbances: readonly Disturbance[] = [
  hsm('device error', (tag) => ({ action: 'error', on: '*', code: 0x30, tag })),
  hsm('general error on each unwrap', (tag) => ({ action: 'error', on: ['C_UnwrapKey'], code: 0x05, tag })),
  hsm('removed', (tag) => ({ action: 'vanish', what: 'token', tag })),
  hsm('sessions forgotten', (tag) => ({ action: 'forget', what: 'sessions', tag })),
  hsm('corrupt signatures', (tag) => ({ action: 'corrupt', on: ['C_Sign'], mechanism: 0x1041, tag })),
  hsm('slow', (tag) => ({ action: 'latency', ms: 150, on: ['C_Sign', 'C_UnwrapKey'], tag })),
  hsm('crash', (tag) => ({ action: 'crash', on: ['C_Sign'], tag })),
  hsm('hang', (tag) => ({ action: 'hang', on: ['C_Sign'], tag })),
  restart('SIGTERM'),
  restart('SIGKILL'),
  refusedPin,
  {
    name: 'worker killed',
    run: (system, random) => signalWorker(system, anyNode(random), 'SIGKILL'),
  },
  {
    name: 'worker frozen for a while',
    async run(system, random) {
      const n = anyNode(random);
      await signalWorker(system, n, 'SIGSTOP');
      await sleep(random.between(500, 4_000));
      await signalWorker(system, n, 'SIGCONT');
    },
  },
  {
    name: 'API killed and started',
    run: (system) => system.restartApi('SIGKILL'),
  },
  {
    name: 'connections to the API cut',
    async run({ wires }, random) {
      wires.api[anyNode(random)]?.cut();
    },
  },
  {
    name: 'API unreachable for one node',
    async run({ wires }, random) {
      const wire = wires.api[anyNode(random)];
      wire?.freeze();
      await sleep(random.between(200, 4_000));
      wire?.cut();
      wire?.thaw();
    },
  },
  {
    name: 'connections to the driver database cut',
    run: async ({ wires }) => wires.driverDatabase.cut(),
  },
  {
    name: 'connections to the API’s database cut',
    run: async ({ wires }) => wires.apiDatabase.cut(),
  },
  {
    name: 'databases restarted',
    run: (system) => system.restartDatabase(),
  },
];
