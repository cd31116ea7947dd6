import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { repository } from '../scripts/local/places.ts';
import { startTimer } from './support/in-time.ts';

/** What `npm start` runs once it is set up, with its state in a directory of the test's own. */
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-local-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
  until(text: string): Promise<void>;
}

function start(...args: string[]): Run {
  const child = spawn(
    process.execPath,
    [join(repository, 'scripts/local/main.ts'), '--directory', directory, ...args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  t.teardown(() => void child.kill('SIGKILL'));
  let output = '';
  const waiting: { text: string; resolve: () => void }[] = [];
  const read = (chunk: Buffer): void => {
    output += chunk.toString('utf8');
    for (const one of waiting) if (output.includes(one.text)) one.resolve();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, output }));
  });
  return {
    child,
    ended,
    async until(text) {
      const found = new Promise<void>((resolve) => {
        waiting.push({ text, resolve });
        if (output.includes(text)) resolve();
      });
      await Promise.race([found, ended.then(() => Promise.reject(new Error(`ended before ${text}:\n${output}`)))]);
    },
  };
}

/** Every process whose command line or environment names the directory: nothing else on this machine does. */
function processesOf(path: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return (
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path) ||
        readFileSync(`/proc/${pid}/environ`, 'utf8').includes(path)
      );
    } catch {
      return false; // It ended meanwhile.
    }
  });
}

t.test('npm start -- --once makes keys, signs, has others verify, and leaves no process behind', async (t) => {
  const { code, output } = await start('--once').ended;
  t.equal(code, 0, output);
  t.match(
    output,
    /Ethereum transfer .*\n.*✓ viem recovers the sender 0x[0-9a-fA-F]{40}\n.*✓ @noble\/curves verifies it, low-s/,
  );
  t.match(output, /Solana transfer .*\n.*✓ @solana\/web3\.js verifies the signature/);
  t.match(output, /All verified/);
  t.same(processesOf(directory), []);
});

t.test('Ctrl-C stops everything, and the next start finds the keys and goes on with them', async (t) => {
  const run = start();
  await run.until('Running. Ctrl-C stops everything');
  t.not(processesOf(directory).length, 0);
  const taken = startTimer(t);
  run.child.kill('SIGINT');
  const { code, output } = await run.ended;
  t.equal(code, 0, output);
  taken('everything has stopped', 5_000);
  t.match(output, /Ethereum key .* from an earlier run/);
  t.same(processesOf(directory), []);
});

t.test('when the starter is killed nothing is left running', async (t) => {
  const run = start();
  await run.until('Running. Ctrl-C stops everything');
  run.child.kill('SIGKILL');
  await run.ended;
  while (processesOf(directory).length > 0) await new Promise((resolve) => setImmediate(resolve));
  t.same(processesOf(directory), []);
});
