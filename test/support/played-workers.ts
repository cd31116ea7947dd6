import type { Test } from 'tap';
import type { PinClear } from '../../src/primary/cluster/pin-clears.ts';
import { type ClusterTurns, noTurns } from '../../src/primary/cluster/turns.ts';
import { createStartUpTurns } from '../../src/primary/start-up-turns.ts';
import { createSupervisor, type SlotView, type Supervisor } from '../../src/primary/supervisor.ts';
import type { WorkerEnd, WorkerListener } from '../../src/primary/worker-handle.ts';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import { createLog } from '../../src/shared/log.ts';
import { slotIn, temporaryDirectory } from './soft-token.ts';

/** A worker that a test plays: what it says goes through `listener`, what it is told is recorded. */
export interface PlayedWorker {
  readonly slot: string;
  readonly listener: WorkerListener;
  readonly told: string[];
  readonly stopped: boolean;
}

export interface PlayedNode {
  readonly supervisor: Supervisor;
  /** All that were ever started, in order. */
  readonly workers: PlayedWorker[];
  readonly released: string[];
  readonly log: Record<string, unknown>[];
  /** The slot as the primary sees it. */
  slot(name: string): SlotView['record'];
  /** The newest worker of a slot. */
  worker(slot: string): PlayedWorker;
}

export interface PlayedOptions {
  readonly slots?: (name: string, directory: string) => SlotConfiguration;
  readonly clusterTurns?: ClusterTurns;
  /** Slots whose workers are told to stop and do not: the test ends them. */
  readonly slowToStop?: readonly string[];
  readonly pinClears?: (withinMs: number) => Promise<readonly PinClear[]>;
}

/** A supervisor over workers that a test plays; each has a token of its own where nothing else is said. */
export function supervise(t: Test, slotNames: readonly string[], options: PlayedOptions = {}): PlayedNode {
  const directory = temporaryDirectory(t);
  const {
    clusterTurns = noTurns,
    slowToStop = [],
    pinClears = async () => [],
    slots = (name) => slotIn(`${directory}/${name}`, name),
  } = options;
  const workers: (PlayedWorker & { stopped: boolean })[] = [];
  const released: string[] = [];
  const log: Record<string, unknown>[] = [];
  const supervisor = createSupervisor({
    slots: slotNames.map((name) => slots(name, directory)),
    fork(slot, listener) {
      const worker = { slot, listener, told: [] as string[], stopped: false };
      workers.push(worker);
      const ends = (how: WorkerEnd['how'], change: Partial<WorkerEnd>): void => {
        worker.stopped = true;
        listener.onEnd(end({ how, ...change }));
      };
      return {
        pid: workers.length,
        grantTurn: () => worker.told.push('turn'),
        suspectDevice: () => worker.told.push('suspect'),
        askHsm: async () => ({ done: false, why: 'not-ready' }),
        stop() {
          worker.told.push('stop');
          if (!slowToStop.includes(slot)) ends('asked', { reason: 'OK', code: 0 });
        },
        kill(hang) {
          worker.told.push('kill');
          const overdue = hang === undefined ? {} : { overdue: hang.why };
          ends('killed', { reason: 'SIGNAL', code: null, signal: 'SIGKILL', ...overdue });
        },
      };
    },
    turns: createStartUpTurns(),
    pinClears,
    clusterTurns,
    releases: { release: async (instance) => void released.push(instance) },
    log: createLog('debug', {}, { write: (line) => void log.push(JSON.parse(line)) }),
  });
  supervisor.start();
  t.teardown(() => supervisor.stop());
  return {
    supervisor,
    workers,
    released,
    log,
    slot(name) {
      const view = supervisor.slots().find(({ configuration }) => configuration.name === name);
      if (view === undefined) throw new Error(`no slot ${name}`);
      return view.record;
    },
    worker(slot) {
      const worker = workers.findLast((one) => one.slot === slot);
      if (worker === undefined) throw new Error(`no worker of ${slot}`);
      return worker;
    },
  };
}

/** How a worker ended; by itself and at once where nothing else is said. */
export function end(change: Partial<WorkerEnd>): WorkerEnd {
  return { code: 1, signal: null, reason: 'INTERNAL', readyMs: 0, how: 'by itself', ...change };
}
