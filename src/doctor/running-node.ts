import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { apiLossOf } from '../primary/operations/readiness.ts';
import type { NodeStatus, SlotStatus } from '../primary/operations/status.ts';
import { type Check, type Finding, good, problem, warning } from './check.ts';

/** Reads the status page of the node; undefined where no node answers. */
export type AskNode = () => Promise<NodeStatus | undefined>;

/** The node itself, where it runs: its processes, its slots, and what it knows of the cluster. */
export function runningNode(ask: AskNode): Check {
  return {
    name: 'running node',
    async look() {
      const status = await ask();
      if (status === undefined) return [warning('the node does not answer on its operations address', notRunning)];
      const { slots, readiness, cluster } = status;
      return [
        readiness.ready
          ? good(`version ${status.version} runs as process ${status.pid} and is ready`)
          : problem('the node runs and is not ready', 'See the slots below'),
        ...openDoors(status),
        ...slots.map(slotFinding),
        ...(cluster.reachable
          ? (cluster.verdict?.alarms ?? []).map((alarm) => warning(alarm, 'See hsm-driver status on each node'))
          : [warning('the node does not reach the tables of the cluster', 'Check its database')]),
      ];
    },
  };
}

const notRunning = 'Start it with hsm-driver run, or add the operations section to its configuration';

/**
 * SIGUSR1 opens Node’s inspector in a process that was not started with --disable-sigusr1. The kernel knows who listens for
 * it, also where the flag is part of the program, as in the standalone binary.
 */
function openDoors({ pid, slots }: NodeStatus): readonly Finding[] {
  const pids = [pid, ...slots.flatMap(({ worker }) => worker?.pid ?? [])];
  const open = pids.filter((one) => ((caughtSignals(one) ?? 0n) & sigusr1) !== 0n);
  if (open.length === 0) return [];
  const todo = 'Start it by the hsm-driver program, or as node --disable-sigusr1 …';
  return [warning(`SIGUSR1 would open an inspector in process ${open.join(', ')}`, todo)];
}

/** Signal N is bit N - 1 (proc(5), “SigCgt”). */
const sigusr1 = 1n << BigInt(constants.signals.SIGUSR1 - 1);

function caughtSignals(pid: number): bigint | undefined {
  try {
    const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return mask === undefined ? undefined : BigInt(`0x${mask}`);
  } catch {
    // Of another container or host.
    return undefined;
  }
}

function slotFinding({ name, state, why, pin, lastFault, api, apiTrouble, database }: SlotStatus): Finding {
  const found = `slot ${name} is ${state}${why === undefined || why === '' ? '' : ` (${why})`}`;
  if (pin === 'refused')
    return problem(`${found}: its PIN was refused`, 'Write the right PIN into its pinFile; nobody tries the old one');
  switch (state) {
    case 'ready':
      if (api === 'lost') return warning(`slot ${name} ${apiLossOf(apiTrouble)}`, todoFor(apiTrouble));
      if (database === 'lost') return warning(`slot ${name} cannot reach the driver database`, 'Check the database');
      return good(found);
    case 'latched':
      return problem(found, lastFault === undefined ? 'See the log' : `${lastFault.code}: see docs/errors.md`);
    default:
      return warning(found, 'Look again in a moment; if it stays so, see the log');
  }
}

function todoFor(trouble: SlotStatus['apiTrouble']): string {
  const kind = trouble?.kind ?? 'unreachable';
  switch (kind) {
    case 'unreachable':
      return 'Check api.addresses, the network, and that the API runs';
    case 'unwell':
      return 'Look at the log of the API: most often its database is away';
    case 'refused':
      return 'Check the node’s certificate and the API’s list of nodes';
    default:
      return kind satisfies never;
  }
}
