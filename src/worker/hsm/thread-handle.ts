import { once } from 'node:events';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { CodedError } from '../../shared/errors.ts';
import { programFile } from '../../shared/program-files.ts';
import {
  type CallName,
  loadedMessage,
  type ThreadAnswer,
  type ThreadCalls,
  type ThreadData,
} from './thread-protocol.ts';

/**
 * One session thread seen from the main thread: ask it, and learn when it dies. A call that the thread's death leaves
 * unanswered is rejected with HSM_DEVICE_FAULT; what a native call that hangs leaves unanswered is the watchdog's matter.
 */
export interface ThreadHandle {
  readonly index: number;
  readonly alive: boolean;
  /** Calls sent and not yet answered. */
  readonly inFlight: number;
  ask<Name extends CallName>(name: Name, ask: ThreadCalls[Name]['ask']): Promise<ThreadCalls[Name]['answer']>;
  /** Ends the thread by force. Does not return while a native call of it hangs. */
  terminate(): Promise<void>;
  /** Resolves when the thread is gone. */
  readonly gone: Promise<void>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: CodedError): void;
}

/** Starts a thread and waits until its code is loaded; it has called no PKCS#11 function by then. */
export async function startThread(data: ThreadData): Promise<ThreadHandle> {
  // SHARE_ENV: the library reads its settings with getenv(), and a thread must not see other ones than the process.
  // No execArgv: what a loader or a test runner hooks into the process would be loaded by every session again.
  const worker = new Worker(programFile('worker/hsm/session-thread'), {
    workerData: data,
    env: SHARE_ENV,
    execArgv: [],
    name: `session ${data.index}`,
  });
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let death: CodedError | undefined;

  const die = (why: string, cause?: unknown): void => {
    death ??= new CodedError('HSM_DEVICE_FAULT', `session thread ${data.index} ended (${why})`, { cause });
    for (const one of waiting.values()) one.reject(death);
    waiting.clear();
  };
  const loaded = once(worker, 'message');
  worker.on('error', (error) => die(error instanceof Error ? error.message : String(error), error));
  const gone = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      die(`code ${code}`);
      resolve();
    });
  });
  try {
    await Promise.race([loaded, gone]);
  } catch (error) {
    die((error as Error).message, error); // thrown while it was loading
  }
  if (death !== undefined) throw death;

  worker.on('message', (answer: ThreadAnswer | typeof loadedMessage) => {
    if (answer === loadedMessage) return;
    const one = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (answer.ok) one?.resolve(answer.value);
    else one?.reject(new CodedError(answer.code, answer.detail));
  });

  return {
    index: data.index,
    gone,
    get alive() {
      return death === undefined;
    },
    get inFlight() {
      return waiting.size;
    },
    ask<Name extends CallName>(name: Name, ask: ThreadCalls[Name]['ask']) {
      if (death !== undefined) return Promise.reject(death);
      const id = nextId;
      nextId += 1;
      return new Promise<ThreadCalls[Name]['answer']>((resolve, reject) => {
        waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        worker.postMessage({ id, name, ask });
      });
    },
    async terminate() {
      await worker.terminate();
    },
  };
}

const endTimeoutMs = 1_000;

/** Ends threads without asking. Waits a second at most: a thread whose native call hangs ends with its process only. */
export async function endByForce(threads: readonly ThreadHandle[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, endTimeoutMs);
  });
  await Promise.race([Promise.allSettled(threads.map((thread) => thread.terminate())), late]);
  clearTimeout(timer);
}
