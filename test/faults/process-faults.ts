import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/until.ts';
import type { Fault } from './fault.ts';
import type { FaultSystem } from './fault-system.ts';

/** What happens to processes. */
async function workerOf(system: FaultSystem, n: number): Promise<number> {
  const pid = (await system.status(n))?.slots[0]?.worker?.pid;
  if (pid === undefined) throw new Error(`node ${n} has no worker`);
  return pid;
}

function pidOf(system: FaultSystem, n: number): number {
  const node = system.nodes.get(n);
  if (node === undefined) throw new Error(`there is no node ${n}`);
  return node.pid;
}

let killedAtMs = Number.NaN;

export const workerKilled: Fault = {
  name: 'worker SIGKILL',
  async inject(system) {
    const worker = await workerOf(system, 1);
    killedAtMs = Date.now();
    process.kill(worker, 'SIGKILL');
  },
  expect: { during: ['recovering', 'starting', 'probing'] },
  // The databases, whose clock tells of the first call, run on this machine.
  replacedMs: (system) => system.firstPollAfter(1, killedAtMs),
};

export const primaryKilled: Fault = {
  name: 'primary SIGKILL',
  async inject(system) {
    process.kill(pidOf(system, 1), 'SIGKILL');
    await system.nodes.get(1)?.exited;
  },
  heal(system) {
    system.nodes.set(1, system.system.startNode(1));
  },
  expect: { during: ['not reachable'] },
};

export const apiRestarted: Fault = {
  name: 'API restart (SIGTERM)',
  inject: (system) => system.restartApi('SIGTERM'),
  expect: { during: ['ready (API lost)', 'ready'], retryOnce: true },
  hitsBoth: true,
};

let frozenWorker = 0;

/** Everything of node 1 stands still and nothing of it is on the wire any more: no FIN, no RST. */
const powerOff: Fault = {
  name: 'node stopped dead, its connections frozen',
  async inject(system) {
    frozenWorker = await workerOf(system, 1);
    system.wires.api[1]?.freeze();
    system.wires.driverDatabase.freeze();
    for (const pid of [pidOf(system, 1), frozenWorker]) process.kill(pid, 'SIGSTOP');
  },
  async heal(system) {
    // One that stands still cannot notice that its primary is gone.
    process.kill(frozenWorker, 'SIGKILL');
    const restarted = system.restartNode(1, 'SIGKILL');
    for (const wire of [system.wires.api[1], system.wires.driverDatabase]) {
      wire?.cut();
      wire?.thaw();
    }
    await restarted;
  },
  expect: { during: ['not reachable'], staysDown: true },
  lastsMs: 4_000,
};

/** Requests are in the API’s database and given to workers, which stand still: the API’s process ends at that point. */
const apiKilledAfterLease: Fault = {
  name: 'API killed while all requests are leased',
  async inject(system) {
    const workers = await Promise.all([1, 2].map((n) => workerOf(system, n)));
    for (const pid of workers) process.kill(pid, 'SIGSTOP');
    try {
      await until('requests are leased', async () => {
        const rows = await system.query('api', "select 1 from request where state = 'leased'");
        return rows.length > 0;
      });
    } finally {
      const restarted = system.restartApi('SIGKILL');
      for (const pid of workers) process.kill(pid, 'SIGCONT');
      await restarted;
    }
  },
  expect: { during: ['ready (API lost)', 'ready'], retryOnce: true },
  hitsBoth: true,
};

/** Outcomes have arrived and cannot be committed; then the process ends. */
const apiKilledBeforeCommit: Fault = {
  name: 'API killed before it commits outcomes',
  async inject(system) {
    const wire = system.wires.apiDatabase;
    wire.freeze();
    await sleep(400);
    const restarted = system.restartApi('SIGKILL');
    wire.cut();
    wire.thaw();
    await restarted;
  },
  expect: { during: ['ready (API lost)', 'ready'], retryOnce: true },
  hitsBoth: true,
};

export const processFaults: readonly Fault[] = [
  workerKilled,
  {
    name: 'worker SIGSTOP',
    inject: async (system) => process.kill(await workerOf(system, 1), 'SIGSTOP'),
    expect: { during: ['recovering', 'starting', 'probing'] },
  },
  primaryKilled,
  powerOff,
  apiRestarted,
  apiKilledAfterLease,
  apiKilledBeforeCommit,
  {
    name: 'API killed (SIGKILL) and started',
    inject: (system) => system.restartApi('SIGKILL'),
    expect: { during: ['ready (API lost)', 'ready'], retryOnce: true },
    hitsBoth: true,
  },
];
