import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Cleanup } from './soft-token.ts';
import { until } from './until.ts';

/**
 * A program at a terminal, and somebody in front of it. util-linux's `script` makes the terminal: Debian and Ubuntu have it
 * on every machine.
 */
export interface AtTerminal {
  /** All that the screen has shown, with what was typed. */
  screen(): string;
  /** Waits until this is shown after what was shown before the last answer, then types. `\x03` is Ctrl-C, `\x04` Ctrl-D. */
  answer(shown: string | RegExp, keys: string): Promise<void>;
  /** The window is closed: the terminal hangs up. */
  hangUp(): void;
  /** The program's exit code. */
  readonly ended: Promise<number>;
}

/** A token makes an RSA-4096 key in between. */
const waitMs = 60_000;

/** Why there is no terminal on this machine, for tap's `skip`. */
export const noTerminal: string | false =
  spawnSync('script', ['--version']).status === 0 ? false : 'script (util-linux) is not here';

/**
 * `script` reads on for 10 ms after the program's end, and a busy machine may deliver the last lines later than that. So
 * a shell, which no Ctrl-C ends, keeps the terminal open until this mark is seen, which comes after all of them.
 */
const endMark = '<the program has ended>';

export function atTerminal(t: Cleanup, program: string, ...args: readonly string[]): AtTerminal {
  const words = [program, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const command = `trap : INT; ${words}; code=$?; printf '%s' '${endMark}'; read -r _; exit $code`;
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], { env });
  let shown = '';
  let seen = 0;
  let over = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      shown += text.replaceAll('\r', '');
      if (over || !shown.includes(endMark)) return;
      over = true;
      child.stdin.write('\n');
    });
  }
  child.stdin.on('error', () => {}); // the program ended before it was answered
  const ended = once(child, 'close').then(([code]) => code as number);
  t.teardown(() => void child.kill('SIGKILL'));
  return {
    screen: () => shown.split(endMark, 1).join(''),
    async answer(wanted, keys) {
      const look = (): boolean => {
        const rest = shown.slice(seen);
        const [found, index] =
          typeof wanted === 'string'
            ? [wanted, rest.indexOf(wanted)]
            : [wanted.exec(rest)?.[0] ?? '', rest.search(wanted)];
        if (index === -1) return false;
        seen += index + found.length;
        return true;
      };
      try {
        await until(`“${wanted}”`, look, waitMs);
      } catch (cause) {
        throw new Error(`the screen shows:\n${shown}`, { cause });
      }
      child.stdin.write(keys);
    },
    hangUp: () => void child.kill('SIGKILL'),
    ended,
  };
}
