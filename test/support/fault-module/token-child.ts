import { Worker } from 'node:worker_threads';
import { Pkcs11Fault } from '../../../src/worker/hsm/fault.ts';
import type { Answer, Question, ThreadsDone } from './token-process.ts';
import { createTokenUser } from './token-user.ts';

/** The child of token-process.ts: makes one PKCS#11 call after the other as it is told, synchronously. */
const [module = '', tokenLabel = ''] = process.argv.slice(2);
const user = createTokenUser(module, tokenLabel);

function answerOf(ask: () => unknown): Answer {
  try {
    return { code: 0, value: ask() };
  } catch (error) {
    if (error instanceof Pkcs11Fault) return { code: error.code, value: undefined };
    return { code: -1, value: error instanceof Error ? error.message : String(error) };
  }
}

process.on('message', async ({ id, call, parameter }: Question) => {
  const answer =
    call === 'threads'
      ? { code: 0, value: await signInThreads(parameter as { threads: number; calls: number }) }
      : answerOf(() => (user[call] as (parameter?: unknown) => unknown)(parameter));
  process.send?.({ id, ...answer });
});

/** Starts threads that each open a session, one after another; then all sign at once. */
async function signInThreads({ threads, calls }: { threads: number; calls: number }): Promise<ThreadsDone> {
  const workers: Worker[] = [];
  for (let index = 0; index < threads; index += 1) {
    const worker = new Worker(new URL('./token-thread.ts', import.meta.url), { workerData: { module, tokenLabel } });
    await message(worker);
    workers.push(worker);
  }
  const done = Promise.all(workers.map((worker) => message(worker) as Promise<readonly number[]>));
  for (const worker of workers) worker.postMessage(calls);
  return done;
}

function message(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
}
