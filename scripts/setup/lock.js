import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` while holding a lock file, so that two commands started at once do not install over each other.
 * @template T
 * @param {string} file
 * @param {() => void} onWait called once when somebody else holds it
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(file, onWait, work) {
  let lock = takeLock(file);
  if (lock.release === undefined) onWait();
  while (lock.release === undefined) {
    await sleep(100);
    lock = takeLock(file);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}

/**
 * Takes a lock file, from a dead owner too (one that was killed): the file names its owner. Ends with this process.
 * @param {string} file
 * @returns {{release?: () => void, owner?: number}} `release` when it is ours now, else the process id of its owner
 */
export function takeLock(file) {
  mkdirSync(dirname(file), { recursive: true });
  // A number, since one process may also want a lock twice: the second attempt must not look like the first.
  const me = `${identity(process.pid)} ${count++}`;
  for (let attempt = 0; attempt < 5; attempt++) {
    if (link(file, me)) return { release: releaser(file, me) };
    const owner = read(file);
    if (owner !== undefined && isAlive(owner)) return { owner: Number(owner.split(' ')[0]) };
    if (owner !== undefined) removeStale(file, owner);
  }
  return {};
}

let count = 0;

function releaser(file, me) {
  const release = () => {
    process.removeListener('exit', release);
    if (read(file) === me) rmSync(file, { force: true });
  };
  process.once('exit', release);
  return release;
}

/** A link makes the lock and its content appear in one step: nobody ever reads an empty lock. */
function link(file, me) {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, me);
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Takes a dead owner's lock away, and puts it back if in the meantime it had become somebody else's. */
function removeStale(file, owner) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
    if (read(aside) !== owner) linkSync(aside, file);
  } catch {
    // Somebody else was faster: the next attempt sees what is there now.
  }
  rmSync(aside, { force: true });
}

function isAlive(owner) {
  const fields = owner.split(' ');
  return identity(Number(fields[0])) === fields.slice(0, -1).join(' ');
}

/** A process id and, on Linux, its boot and start time: ids are used again. Undefined: no such process. */
function identity(pid) {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    // A zombie has ended, though nobody has read its exit code yet.
    return fields[0] === 'Z' ? undefined : `${pid} ${boot} ${fields[19]}`;
  } catch {
    if (process.platform === 'linux') return undefined;
    try {
      process.kill(pid, 0);
      return `${pid}`;
    } catch (error) {
      return error.code === 'EPERM' ? `${pid}` : undefined;
    }
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
