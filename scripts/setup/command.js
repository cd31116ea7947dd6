import { spawn } from 'node:child_process';
import { root } from './places.js';

/** A failure that a person can act on: the message says what happened and what to do, no stack needed. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** Commands of this process that still run: a set-up that is interrupted must not leave an `npm ci` behind. */
const running = new Set();

/** Ends every command that still runs, with all it started. */
export function killCommands() {
  for (const child of running) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      child.kill('SIGKILL');
    }
  }
}

/**
 * Runs a command to its end, quietly.
 * @param {string} command
 * @param {string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, ids?: {uid?: number, gid?: number},
 *   timeoutMs?: number, mayFail?: boolean}} [options]
 * @returns {Promise<{code: number, stdout: string, stderr: string}>}
 * @throws {SetupError} with the end of the command's output, unless `mayFail`
 */
export function run(command, args, options = {}) {
  const { cwd = root, env = process.env, ids = {}, timeoutMs = 600_000, mayFail = false } = options;
  return new Promise((resolve, reject) => {
    // Its own process group, so that a time-out ends the compilers below a `make` too.
    const child = spawn(command, args, { cwd, env, ...ids, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    if (child.pid !== undefined) running.add(child);
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const timer = setTimeout(() => {
      timedOut = true;
      process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    const finish = (code, why) => {
      clearTimeout(timer);
      running.delete(child);
      if (code === 0 || mayFail) return resolve({ code, stdout, stderr: stderr || why });
      const tail = `${stdout}\n${stderr}`.trim().split('\n').slice(-15).join('\n');
      reject(new SetupError(`\`${[command, ...args].join(' ').slice(0, 160)}\` ${why}${tail && `:\n${tail}`}`));
    };
    child.once('error', (error) => finish(127, `could not be started (${error.message})`));
    child.once('close', (code, signal) => {
      if (timedOut) finish(124, `did not end within ${timeoutMs / 1000} s`);
      else finish(code ?? 128, signal ? `was ended by ${signal}` : `failed with exit code ${code}`);
    });
  });
}
