import cluster, { type Worker } from 'node:cluster';
import type { CodedError, ErrorCode } from '../shared/errors.ts';
import { catalogueEntry } from '../shared/errors.ts';
import { type ExitName, exitName } from '../shared/exit-codes.ts';
import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';
import { type ToPrimary, type ToWorker, workerEnvironment } from '../shared/ipc.ts';
import type { WorkerReport } from '../shared/worker-report.ts';
import type { WorkerState } from '../shared/worker-state.ts';
import { createAskedWork } from './asked-work.ts';
import type { Overdue } from './watchdog.ts';

/** One worker process, from its fork to its end. */
export interface WorkerHandle {
  readonly pid: number | undefined;
  grantTurn(): void;
  /** A sibling on the same token met a device fault: it should look before its next call. */
  suspectDevice(): void;
  /** Maintenance on its HSM. Never rejects: a worker that ends has refused. */
  askHsm(work: HsmWork): Promise<HsmWorkAnswer>;
  /** Asks it to end, waits, kills it; the end itself is told by `onEnd`. */
  stop(): void;
  /** SIGKILL. @param hang why the watchdog does it, and for how long nothing had moved: that was no steady work. */
  kill(hang?: { readonly why: Overdue; readonly ms: number }): void;
}

export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly reason: ExitName | 'SIGNAL';
  /** The error it told before it ended. */
  readonly fault?: { readonly code: ErrorCode; readonly detail: string };
  /** What it called itself at the API; undefined when it never got so far as to take work. */
  readonly instance?: string;
  readonly readyMs: number;
  /** Whether it ended by itself, because it was asked to, or had to be killed. */
  readonly how: 'by itself' | 'asked' | 'killed';
  /** The watchdog killed it. */
  readonly overdue?: Overdue;
}

export interface WorkerListener {
  onTurnWanted(): void;
  onTurnDone(): void;
  onStarted(instance: string): void;
  onState(state: WorkerState): void;
  onHeartbeat(oldestCallMs: number): void;
  onReport(report: WorkerReport): void;
  onDeviceFault(code: ErrorCode, detail: string): void;
  onEnd(end: WorkerEnd): void;
}

/** A worker needs about four seconds for all it does at its end; with the kill a stop stays below five. */
export const stopPatienceMs = 4_300;

/** How long the channel of a dead worker may take to run dry. */
const lastWordsMs = 200;

/** A process that is stuck in a device driver does not even die of SIGKILL: after this long it is not waited for. */
const unkillableMs = 1_000;

/** Of the primary's environment a worker gets no more than this: no NODE_OPTIONS, no secrets by accident. */
const inherited = ['PATH', 'HOME', 'LANG', 'TZ'];

/** @param configuration as the worker reads it: JSON, checked, with absolute paths, no secrets. */
export function forkWorker(configuration: string, slot: string, listener: WorkerListener): WorkerHandle {
  // node:cluster adds the primary's whole environment; undefined takes a variable out again.
  const none = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
  const kept = Object.fromEntries(inherited.map((name) => [name, process.env[name]]));
  const own = { [workerEnvironment.configuration]: configuration, [workerEnvironment.slot]: slot };
  const worker = cluster.fork({ ...none, ...kept, ...own });

  let instance: string | undefined;
  let fault: WorkerEnd['fault'];
  let readyAt: number | undefined;
  let how: WorkerEnd['how'] = 'by itself';
  let hang: { readonly why: Overdue; readonly ms: number } | undefined;
  let patience: NodeJS.Timeout | undefined;
  const asked = createAskedWork((id, work) => tell(worker, { type: 'hsm-work', id, work }));

  worker.on('message', (message: ToPrimary) => {
    switch (message.type) {
      case 'started':
        instance = message.instance;
        return listener.onStarted(message.instance);
      case 'turn-wanted':
        return listener.onTurnWanted();
      case 'turn-done':
        return listener.onTurnDone();
      case 'state':
        if (message.state === 'ready') readyAt ??= performance.now();
        return listener.onState(message.state);
      case 'heartbeat':
        return listener.onHeartbeat(message.oldestCallMs);
      case 'report':
        return listener.onReport(message.report);
      case 'device-fault':
        return listener.onDeviceFault(message.code, message.message);
      case 'hsm-work-answer':
        return asked.answered(message.id, message.answer);
      case 'fault':
        fault = { code: message.code, detail: message.message };
        return;
      default:
        return message satisfies never;
    }
  });
  let ended = false;
  const end = (code: number | null, signal: string | null): void => {
    if (ended) return;
    ended = true;
    clearTimeout(patience);
    asked.end();
    listener.onEnd({
      code,
      signal,
      reason: reasonOf(code, fault?.code),
      ...(fault === undefined ? {} : { fault }),
      // Before it was ready it never called the API.
      ...(instance === undefined || readyAt === undefined ? {} : { instance }),
      readyMs: readyAt === undefined ? 0 : Math.max(0, performance.now() - readyAt - (hang?.ms ?? 0)),
      how,
      ...(hang === undefined ? {} : { overdue: hang.why }),
    });
  };
  worker.on('exit', (code, signal) => {
    // Its last words may still be in the channel.
    if (!worker.isConnected()) return end(code, signal);
    worker.once('disconnect', () => end(code, signal));
    setTimeout(() => end(code, signal), lastWordsMs);
  });
  // The process could not be started, or not be told something; without a process there is no `exit`.
  worker.on('error', () => {
    if (worker.process.pid === undefined) end(1, null);
  });

  const kill = (): void => {
    if (ended) return;
    how = 'killed';
    worker.process.kill('SIGKILL');
    setTimeout(() => end(null, 'SIGKILL'), unkillableMs).unref();
  };
  return {
    pid: worker.process.pid,
    grantTurn: () => tell(worker, { type: 'turn-granted' }),
    suspectDevice: () => tell(worker, { type: 'device-suspect' }),
    askHsm: (work) => asked.ask(work),
    stop() {
      if (ended || how !== 'by itself') return;
      how = 'asked';
      tell(worker, { type: 'stop' });
      patience = setTimeout(kill, stopPatienceMs);
    },
    kill(why) {
      hang ??= why;
      kill();
    },
  };
}

/** Its last word counts more than its code: one that had to kill itself could not choose a code any more. */
function reasonOf(code: number | null, fault: CodedError['code'] | undefined): WorkerEnd['reason'] {
  if (fault !== undefined) return catalogueEntry(fault).exit ?? 'INTERNAL';
  if (code === null) return 'SIGNAL';
  return exitName(code) ?? 'INTERNAL';
}

function tell(worker: Worker, message: ToWorker): void {
  // A channel that is closed belongs to a worker that is ending.
  if (worker.isConnected()) worker.send(message, () => {});
}
