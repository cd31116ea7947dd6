import { once } from 'node:events';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { CodedError } from '../shared/errors.ts';
import type { Curve } from '../shared/keys.ts';
import { programFile } from '../shared/program-files.ts';
import type { Rates } from './calls.ts';
import { type RateAnswer, type RateKind, type RateQuestion, type RateThreadData, rateKinds } from './rate-protocol.ts';

/** Long enough to tell one HSM from another, short enough that nobody at work on the same HSM notices. */
const measuredMs = 250;
/** The start of many threads at once would keep this process from answering. */
const startedTogether = 4;

/**
 * How often per second each thing is done by so many threads at once, each on a session of its own.
 * @param threadCounts ascending.
 * @throws HSM_DEVICE_FAULT when a thread fails.
 */
export async function measureRates(
  data: RateThreadData,
  curves: readonly Curve[],
  threadCounts: readonly number[],
): Promise<readonly Rates[]> {
  const threads: Worker[] = [];
  try {
    const found: Rates[] = [];
    for (const count of threadCounts) {
      await startUntil(threads, count, data);
      for (const curve of curves) {
        const measured: Record<RateKind, number> = { generateAndWrap: 0, unwrapSignDestroy: 0, signKept: 0 };
        for (const kind of rateKinds) measured[kind] = await rate(threads, { curve, kind, forMs: measuredMs });
        found.push({ curve, threads: count, ...measured });
      }
    }
    return found;
  } finally {
    await Promise.all(threads.map(close));
  }
}

async function startUntil(threads: Worker[], count: number, data: RateThreadData): Promise<void> {
  while (threads.length < count) {
    const batch = Array.from({ length: Math.min(startedTogether, count - threads.length) }, () => {
      // What a loader or a test runner hooks into the process is not loaded by every thread again.
      const worker = new Worker(programFile('qualify/rate-thread'), { workerData: data, env: SHARE_ENV, execArgv: [] });
      threads.push(worker);
      return worker;
    });
    await Promise.all(batch.map(answered));
  }
}

async function rate(threads: readonly Worker[], question: RateQuestion): Promise<number> {
  const answers = await Promise.all(
    threads.map((worker) => {
      const answer = answered(worker);
      worker.postMessage(question);
      return answer;
    }),
  );
  return Math.round(answers.reduce((sum, { count, ms }) => sum + (count / ms) * 1000, 0));
}

/** The thread's next answer; listens only until it is there. */
async function answered(worker: Worker): Promise<{ count: number; ms: number }> {
  const done = new AbortController();
  const { signal } = done;
  const ended = once(worker, 'exit', { signal }).then((): [RateAnswer] => [{ failed: 'a thread ended' }]);
  ended.catch(() => {}); // when the answer came first
  try {
    const [answer] = (await Promise.race([once(worker, 'message', { signal }), ended])) as [RateAnswer];
    if ('failed' in answer) throw new CodedError('HSM_DEVICE_FAULT', answer.failed);
    return answer;
  } finally {
    done.abort();
  }
}

async function close(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return;
  const gone = once(worker, 'exit');
  worker.postMessage('close');
  // A thread that failed while it opened does not listen.
  const late = setTimeout(() => void worker.terminate(), 2_000);
  await gone;
  clearTimeout(late);
}
