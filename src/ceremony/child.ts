import { fork } from 'node:child_process';
import { asCodedError, CodedError, type ErrorCode } from '../shared/errors.ts';
import { programFile } from '../shared/program-files.ts';

/**
 * Calls to a child process and its answers: each token of a ceremony lives in a process of its own, because a module
 * reads its settings once per process, and because a vendor's library may crash or hang. Secrets travel over the pipe
 * between the two, never on the command line or in the environment.
 */

/** What can be asked of a child: name → { ask, answer }. Values must survive the structured clone algorithm. */
export type Calls = Record<string, { ask: unknown; answer: unknown }>;

export interface Child<Served> {
  /** @throws what the child threw, as a CodedError; HSM_DEVICE_FAULT when it ends or does not answer in time. */
  ask<Name extends keyof Served & string>(name: Name, ask: AskOf<Served, Name>): Promise<AnswerOf<Served, Name>>;
  readonly alive: boolean;
  /** Ends the process; by force when it does not end by itself. */
  stop(): Promise<void>;
}

type AskOf<Served, Name extends keyof Served> = Served[Name] extends { ask: infer Ask } ? Ask : never;
type AnswerOf<Served, Name extends keyof Served> = Served[Name] extends { answer: infer Answer } ? Answer : never;
export type Handlers<Served> = {
  [Name in keyof Served]: (ask: AskOf<Served, Name>) => AnswerOf<Served, Name> | Promise<AnswerOf<Served, Name>>;
};

interface Question {
  readonly id: number;
  readonly name: string;
  readonly ask: unknown;
}
type Reply =
  | { readonly id: number; readonly ok: true; readonly answer: unknown }
  | { readonly id: number; readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** Long enough for an HSM to make an RSA-4096 key. */
const answerTimeoutMs = 180_000;
const stopTimeoutMs = 5_000;

/**
 * @param entry path from this folder, without extension, of the module that calls `serveParent`.
 * @param what names the child in errors.
 */
export function startChild<Served>(
  entry: string,
  what: string,
  environment: Readonly<Record<string, string>>,
): Child<Served> {
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  const child = fork(programFile(`ceremony/${entry}`), {
    env: { ...inherited, ...environment },
    execArgv: ['--disable-sigusr1'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: CodedError): void }>();
  let nextId = 1;
  let death: CodedError | undefined;

  const die = (why: string): void => {
    death ??= new CodedError('HSM_DEVICE_FAULT', `the process for ${what} ended (${why})`);
    for (const one of waiting.values()) one.reject(death);
    waiting.clear();
  };
  const gone = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      die(error.message);
      resolve();
    });
    child.once('exit', (code, signal) => {
      die(signal ?? `code ${code}`);
      resolve();
    });
  });
  child.on('message', (reply: Reply) => {
    const one = waiting.get(reply.id);
    if (reply.ok) one?.resolve(reply.answer);
    else one?.reject(new CodedError(reply.code, reply.detail));
  });

  return {
    get alive() {
      return death === undefined;
    },
    ask<Name extends keyof Served & string>(name: Name, ask: AskOf<Served, Name>) {
      if (death !== undefined) return Promise.reject(death);
      const id = nextId;
      nextId += 1;
      return new Promise<AnswerOf<Served, Name>>((resolve, reject) => {
        const timer = setTimeout(() => {
          die(`no answer to ${name} within ${answerTimeoutMs / 1000} s`);
          child.kill('SIGKILL');
        }, answerTimeoutMs);
        const settled = (): void => {
          clearTimeout(timer);
          waiting.delete(id);
        };
        waiting.set(id, {
          resolve: (value) => {
            settled();
            resolve(value as AnswerOf<Served, Name>);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        });
        child.send({ id, name, ask } satisfies Question, (error) => {
          if (error !== null)
            waiting
              .get(id)
              ?.reject(new CodedError('HSM_DEVICE_FAULT', `the process for ${what} is gone (${error.message})`));
        });
      });
    },
    async stop() {
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      if (child.connected) child.disconnect();
      await gone;
      clearTimeout(timer);
    },
  };
}

/** In the child: answers the parent's questions one after another, and ends when the parent lets go or is gone. */
export function serveParent<Served>(handlers: Handlers<Served>): void {
  process.on('message', async ({ id, name, ask }: Question) => {
    const answer = await reply(id, () => (handlers as Record<string, (ask: unknown) => unknown>)[name]?.(ask));
    // The callback keeps a parent that is gone from becoming an uncaught error here.
    process.send?.(answer, undefined, undefined, () => {});
  });
  process.on('disconnect', () => process.exit());
  // Ctrl-C reaches the whole process group; the parent decides.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
}

async function reply(id: number, work: () => unknown): Promise<Reply> {
  try {
    return { id, ok: true, answer: await work() };
  } catch (error) {
    const { code, detail } = asCodedError(error);
    return { id, ok: false, code, detail };
  }
}
