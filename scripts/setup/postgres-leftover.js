import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, SetupError } from './command.js';

/**
 * Stops a server that an earlier, killed run left on this data directory. Only to be called while holding the directory's
 * owner lock: the server of a run that lives must not be stopped.
 * @param {string} dataDirectory
 * @param {(line: string) => void} log
 */
export async function stopLeftover(dataDirectory, log) {
  const file = join(dataDirectory, 'postmaster.pid');
  const pid = readPid(file);
  if (pid === undefined) return;
  if (!isAlive(pid) || !(await isServerOf(pid, dataDirectory))) {
    // PostgreSQL would refuse to start while a process has this id, also if it is a zombie that nobody collects (usual in
    // containers) or has nothing to do with us. Its file may only go when nobody works on the data any more.
    await waitForBackends(dataDirectory);
    rmSync(file, { force: true });
    return;
  }
  log(`postgresql: stopping process ${pid}, left on ${dataDirectory} by a run that was killed`);
  for (const [signal, patience] of [
    ['SIGINT', 15_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ]) {
    if (!(await isServerOf(pid, dataDirectory))) return;
    process.kill(pid, signal);
    const deadline = Date.now() + patience;
    while (isAlive(pid) && Date.now() < deadline) await sleep(20);
    if (!isAlive(pid)) return;
  }
  throw new SetupError(`PostgreSQL process ${pid} on ${dataDirectory} does not end: stop it by hand`);
}

/** Sessions of a server that was killed end by themselves as soon as they notice; each has the data as its folder. */
async function waitForBackends(dataDirectory) {
  if (process.platform !== 'linux') return sleep(1000);
  const works = (id) => {
    try {
      return readlinkSync(`/proc/${id}/cwd`) === dataDirectory;
    } catch {
      return false;
    }
  };
  const deadline = Date.now() + 15_000;
  for (;;) {
    const busy = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && works(name));
    if (busy.length === 0) return;
    if (Date.now() > deadline)
      throw new SetupError(`processes ${busy.join(', ')} still work on ${dataDirectory}: stop them`);
    await sleep(50);
  }
}

function readPid(file) {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    // A zombie has ended; whoever started it has not looked yet.
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    return error.code === 'EPERM';
  }
}

async function isServerOf(pid, dataDirectory) {
  let commandLine;
  if (process.platform === 'linux') {
    try {
      commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return false;
    }
  } else {
    commandLine = (await run('ps', ['-p', String(pid), '-o', 'command='], { mayFail: true })).stdout;
  }
  return /\bpostgres\b/.test(commandLine) && `${commandLine} `.includes(` -D ${dataDirectory} `);
}
