import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { root } from './places.js';

/**
 * Runs the program that a command is about, with this terminal, to its end. Signals to us go on to it.
 * @param {string} command
 * @param {string[]} args
 * @param {{env?: NodeJS.ProcessEnv, ownGroup?: boolean}} [options] `ownGroup`: signals reach it only through us, once; and
 *   it has an IPC channel, whose 'disconnect' tells it that we were killed
 * @returns {Promise<number>} its exit code, or 128 + the signal's number as a shell has it
 */
export function runChild(command, args, { env = process.env, ownGroup = false } = {}) {
  return new Promise((resolve, reject) => {
    // Ctrl-C in a terminal goes to every process of the foreground group: in a group of its own, the child is left out.
    const stdio = ownGroup ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit';
    const child = spawn(command, args, { cwd: root, env, stdio, detached: ownGroup });
    const last = new Map();
    const forward = (signal) => {
      // The terminal and npm both send us the same Ctrl-C. The child may take a second one for "now, at once".
      const again = Date.now() - (last.get(signal) ?? 0) < 1000;
      last.set(signal, Date.now());
      if (!again) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const finish = (settle) => {
      for (const signal of signals) process.removeListener(signal, forward);
      settle();
    };
    child.once('error', (error) => finish(() => reject(error)));
    child.once('exit', (code, signal) => finish(() => resolve(code ?? 128 + constants.signals[signal])));
  });
}
