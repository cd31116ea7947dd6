import cluster, { type Worker } from 'node:cluster';
import type { CodedError, ErrorCode } from '../shared/errors.ts';
import { catalogueEntry } from '../shared/errors.ts';
import { type ExitName, exitName } from '../shared/exit-codes.ts';
import { type ToPrimary, type ToWorker, type WorkerState, workerEnvironment } from '../shared/ipc.ts';

/** One worker process, from its fork to its end. */
export interface WorkerHandle {
  readonly pid: number | undefined;
  grantTurn(): void;
  /** Asks it to end, waits, kills it; the end itself is told by `onEnd`. */
  stop(): void;
  kill(): void;
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
}

export interface WorkerListener {
  onTurnWanted(): void;
  onTurnDone(): void;
  onState(state: WorkerState): void;
  onEnd(end: WorkerEnd): void;
}

/** A worker needs about four seconds for all it does at its end; with the kill a stop stays below five. */
export const stopPatienceMs = 4_300;

/** How long the channel of a dead worker may take to run dry. */
const lastWordsMs = 200;

/** Of the primary's environment a worker gets no more than this: no NODE_OPTIONS, no secrets by accident. */
const inherited = ['PATH', 'HOME', 'LANG', 'TZ'];

export function forkWorker(configFile: string, slot: string, listener: WorkerListener): WorkerHandle {
  // node:cluster adds the primary's whole environment; undefined takes a variable out again.
  const none = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
  const kept = Object.fromEntries(inherited.map((name) => [name, process.env[name]]));
  const own = { [workerEnvironment.configFile]: configFile, [workerEnvironment.slot]: slot };
  const worker = cluster.fork({ ...none, ...kept, ...own });

  let instance: string | undefined;
  let fault: WorkerEnd['fault'];
  let readyAt: number | undefined;
  let how: WorkerEnd['how'] = 'by itself';
  let patience: NodeJS.Timeout | undefined;

  worker.on('message', (message: ToPrimary) => {
    switch (message.type) {
      case 'started':
        instance = message.instance;
        return;
      case 'turn-wanted':
        return listener.onTurnWanted();
      case 'turn-done':
        return listener.onTurnDone();
      case 'state':
        if (message.state === 'ready') readyAt ??= performance.now();
        return listener.onState(message.state);
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
    listener.onEnd({
      code,
      signal,
      reason: reasonOf(code, fault?.code),
      ...(fault === undefined ? {} : { fault }),
      // Before it was ready it never called the API.
      ...(instance === undefined || readyAt === undefined ? {} : { instance }),
      readyMs: readyAt === undefined ? 0 : performance.now() - readyAt,
      how,
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
    worker.process.kill('SIGKILL');
  };
  return {
    pid: worker.process.pid,
    grantTurn: () => tell(worker, { type: 'turn-granted' }),
    stop() {
      if (ended || how !== 'by itself') return;
      how = 'asked';
      tell(worker, { type: 'stop' });
      patience = setTimeout(() => {
        how = 'killed';
        kill();
      }, stopPatienceMs);
    },
    kill() {
      how = 'killed';
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
