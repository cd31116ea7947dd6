import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { SlotConfiguration } from '../../../src/shared/configuration/sections.ts';
import type { Cleanup } from '../soft-token.ts';
import type { TokenUser } from './token-user.ts';

/** What each call of each thread answered: CKR_… */
export type ThreadsDone = readonly (readonly number[])[];

export interface Question {
  readonly id: number;
  readonly call: keyof TokenUser | 'threads';
  readonly parameter: unknown;
}

export interface Answer {
  /** CKR_…; 0: CKR_OK; -1: not an answer of the module, `value` says what. */
  readonly code: number;
  readonly value: unknown;
}

export interface TokenProcess {
  readonly pid: number;
  /** Makes a call; never settles while it hangs. */
  ask(call: keyof TokenUser, parameter?: string): Promise<Answer>;
  /** Makes calls that must all be answered with CKR_OK; answers the last one's value. */
  all(...calls: (keyof TokenUser)[]): Promise<unknown>;
  /** Signs in new threads. */
  threads(threads: number, calls: number): Promise<ThreadsDone>;
  /** How it ended: a signal's name, or an exit code. */
  readonly ended: Promise<NodeJS.Signals | number | null>;
  kill(signal: NodeJS.Signals): void;
  /** Standard error so far. */
  readonly errors: string;
}

/** A process that uses a slot's token with its module, call by call; killed when the test is over. */
export function startTokenProcess(t: Cleanup, slot: SlotConfiguration): TokenProcess {
  const child = fork(join(import.meta.dirname, 'token-child.ts'), [slot.module, slot.tokenLabel], {
    env: { ...process.env, ...slot.environment },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  const open = new Map<number, (answer: Answer) => void>();
  let last = 0;
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  child.on('message', ({ id, ...answer }: Answer & { id: number }) => {
    open.get(id)?.(answer);
    open.delete(id);
  });
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });

  function send(call: Question['call'], parameter?: unknown): Promise<Answer> {
    last += 1;
    const question: Question = { id: last, call, parameter };
    return new Promise((resolve) => {
      open.set(question.id, resolve);
      child.send(question);
    });
  }

  return {
    pid: child.pid ?? 0,
    ask: send,
    async all(...calls) {
      let value: unknown;
      for (const call of calls) {
        const answer = await send(call);
        if (answer.code !== 0) throw new Error(`${call} answered ${answer.code} ${answer.value ?? ''} ${errors}`);
        value = answer.value;
      }
      return value;
    },
    threads: async (threads, calls) => (await send('threads', { threads, calls })).value as ThreadsDone,
    ended,
    kill: (signal) => void child.kill(signal),
    get errors() {
      return errors;
    },
  };
}
