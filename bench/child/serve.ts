import type { Answer, Calls, Question } from './calls.ts';

/** The child's side: answers each question, one after the other, until the parent is gone. */
export function serve<C extends Calls>(
  handlers: {
    readonly [Name in keyof C]: (ask: C[Name]['ask']) => Promise<C[Name]['answer']> | C[Name]['answer'];
  },
): void {
  let before: Promise<unknown> = Promise.resolve();
  process.on('message', ({ id, name, ask }: Question) => {
    before = before.then(async () => {
      let answer: Answer;
      try {
        answer = { id, answer: (await handlers[name]?.(ask)) ?? null };
      } catch (error) {
        answer = { id, failed: (error as Error).stack ?? String(error) };
      }
      process.send?.(answer);
    });
  });
  process.on('disconnect', () => process.exit());
}
