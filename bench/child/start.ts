import { fork } from 'node:child_process';
import type { Releasers } from '../../src/shared/releasers.ts';
import type { Answer, Calls } from './calls.ts';

/** A process of the bench's own, so that what it uses is told apart from what the system uses. */
export interface Child<C extends Calls> {
  readonly pid: number;
  ask<Name extends keyof C & string>(name: Name, ask: C[Name]['ask']): Promise<C[Name]['answer']>;
  stop(): Promise<void>;
}

const stopMs = 3_000;

export function startChild<C extends Calls>(
  file: string,
  releasers: Releasers,
  environment: NodeJS.ProcessEnv = {},
): Child<C> {
  const child = fork(file, [], { execArgv: [], env: { ...process.env, ...environment } });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let next = 1;
  child.on('message', (message: Answer) => {
    const one = waiting.get(message.id);
    waiting.delete(message.id);
    if ('failed' in message) one?.reject(new Error(message.failed));
    else one?.resolve(message.answer);
  });
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      for (const one of waiting.values()) one.reject(new Error(`${file} ended (${code ?? signal})`));
      resolve();
    });
  });
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    const late = setTimeout(() => child.kill('SIGKILL'), stopMs);
    await gone;
    clearTimeout(late);
  };
  releasers.add(file, stop, stopMs + 500);
  return {
    pid: child.pid ?? -1,
    ask(name, ask) {
      const id = next++;
      const answered = Promise.withResolvers<unknown>();
      waiting.set(id, answered);
      child.send({ id, name, ask });
      return answered.promise as Promise<C[typeof name]['answer']>;
    },
    stop,
  };
}
