import { once } from 'node:events';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { serve } from '../child/serve.ts';
import type { RawCount, RawLoopCalls, RawQuestion, RawRate, RawRun, RawThreadData } from './calls.ts';

/** The process of the raw loop: threads that use the token as fast as they can, as many at a time as is asked. */
const threads: Worker[] = [];

async function open(data: RawThreadData, count: number): Promise<void> {
  // On this thread the assignment reaches the C library's environment, where the module's getenv() looks.
  Object.assign(process.env, data.slot.environment);
  for (let at = threads.length; at < count; at += 1) {
    const worker = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData: data,
      env: SHARE_ENV,
      execArgv: [],
    });
    // One after the other: logins side by side race on some tokens.
    await once(worker, 'message');
    threads.push(worker);
  }
}

async function run({ threads: count, ...question }: RawRun): Promise<RawRate> {
  const counts = await Promise.all(threads.slice(0, count).map((worker) => ask(worker, question)));
  const total = (value: (one: RawCount) => number): number => counts.reduce((sum, one) => sum + value(one), 0);
  return {
    perSecond: total((one) => (one.count / one.ms) * 1_000),
    cpuMs: total((one) => one.cpuMs) / total((one) => one.count),
    eachMs: total((one) => one.ms) / total((one) => one.count),
  };
}

async function ask(worker: Worker, question: RawQuestion): Promise<RawCount> {
  const answer = once(worker, 'message');
  worker.postMessage(question);
  return (await answer)[0] as RawCount;
}

serve<RawLoopCalls>({
  async open({ slot, ceremonyFile, threads: count }) {
    await open({ slot, ceremonyFile }, count);
    return null;
  },
  async run(question) {
    // The first pass makes the keys.
    await run({ ...question, ms: 1 });
    return await run(question);
  },
});
