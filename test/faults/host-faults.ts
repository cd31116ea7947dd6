import type { Fault } from './fault.ts';
import type { FaultSystem } from './fault-system.ts';

/** What happens to a whole host: rows for a system whose nodes have network namespaces of their own. */
async function unplug({ hosts }: FaultSystem, n: number): Promise<void> {
  await hosts?.host(n).unplug();
}

async function plug({ hosts }: FaultSystem, n: number): Promise<void> {
  await hosts?.host(n).plug();
}

/** First the wire, then the processes: what their kernel would still send for them arrives nowhere. */
const powerOff: Fault = {
  name: 'a whole node powered off (packets dropped, no FIN)',
  async inject(system) {
    const worker = (await system.status(1))?.slots[0]?.worker?.pid;
    await unplug(system, 1);
    const node = system.nodes.get(1);
    for (const pid of [node?.pid, worker]) if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await node?.exited;
  },
  async heal(system) {
    await plug(system, 1);
    await system.restartNode(1, 'SIGKILL');
  },
  expect: { during: ['not reachable'], staysDown: true },
  lastsMs: 6_000,
};

/** Everything of the node lives on and can reach nobody. */
const cutOff: Fault = {
  name: 'a whole node cut off from its network and back',
  inject: (system) => unplug(system, 1),
  heal: (system) => plug(system, 1),
  expect: { during: ['not reachable'], staysDown: true },
  lastsMs: 8_000,
};

export const hostFaults: readonly Fault[] = [powerOff, cutOff];
