import { createInterface } from 'node:readline';
import type { Dialogue } from '../ceremony/attended.ts';
import { CodedError } from '../shared/errors.ts';

/**
 * A person at a terminal. Answers from a pipe or a file are nobody's: then there is no dialogue.
 * @throws CEREMONY_REFUSED
 */
export function openTerminal(): Dialogue & { close(): void } {
  const { stdin, stdout } = process;
  if (!stdin.isTTY) {
    throw new CodedError('CEREMONY_REFUSED', 'nobody is at a terminal; a rehearsal or a script says --yes');
  }
  // The terminal keeps its own line editing: Ctrl-C must stay a signal, which removes what was put on tokens.
  const lines = createInterface({ input: stdin, terminal: false });
  const answers = lines[Symbol.asyncIterator]();
  return {
    say: (line) => void stdout.write(`${line}\n`),
    async ask(question) {
      stdout.write(question);
      const { value, done } = await answers.next();
      if (done === true) throw new CodedError('CEREMONY_REFUSED', 'the terminal was closed');
      return value;
    },
    close: () => lines.close(),
  };
}
