import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { postgresPrograms } from './postgres-programs.js';
import { endingWithUs } from './toolchain.js';

/**
 * How PostgreSQL's programs are run: it refuses to run as root, and it must not outlive us.
 * @typedef {object} Launcher
 * @property {{uid: number, gid: number}} [owner] who must own the data directory; undefined: whoever we are
 * @property {{postgres: string, initdb: string}} programs
 * @property {string} dataDirectory where the data really is
 * @property {boolean} endsWithUs the kernel ends it when this process dies
 * @property {(program: string, args: string[]) => {command: string, args: string[], ids: {uid?: number, gid?: number}}} wrap
 */

/**
 * Decides how to run PostgreSQL on this machine, by trying: as ourselves unless we are root; as another user when we are;
 * with the one capability to pass through folders that only root may enter, when that user could not reach the clone.
 * @param {string} dataDirectory
 * @param {(line: string) => void} log
 * @returns {Promise<Launcher>}
 */
export async function chooseLauncher(dataDirectory, log) {
  const programs = postgresPrograms();
  const setpriv = (await endingWithUs('INT')).length > 0;
  const base = { programs, dataDirectory, endsWithUs: setpriv };
  const me = process.getuid?.();
  if (me !== 0 && existsSync(dataDirectory) && statSync(dataDirectory).uid !== me) {
    throw new SetupError(`${dataDirectory} belongs to another user: run as that user or as root, or delete it`);
  }
  if (me !== 0) return { ...base, wrap: setpriv ? withSetpriv([]) : direct({}) };

  const owner = ownerFor(dataDirectory);
  const candidates = setpriv
    ? [
        withSetpriv(asUser(owner)),
        ...['dac_read_search', 'dac_override'].map((name) => withSetpriv(asUser(owner, name))),
      ]
    : [direct(owner)];
  // The data directory's parent: the data directory itself may not exist yet, and will belong to that user.
  const reach = [
    '-c',
    'test -x "$1" && test -r "$2" && "$2" --version',
    'sh',
    join(dataDirectory, '..'),
    programs.postgres,
  ];
  for (const wrap of candidates) {
    const { command, args, ids } = wrap('/bin/sh', reach);
    if (await works(command, args, ids)) return { ...base, owner, wrap };
  }
  return privateCopy({ ...base, owner, wrap: candidates[0] }, log);
}

/** An existing database stays its owner's: a clone may be used by root and by its owner in turn. */
function ownerFor(dataDirectory) {
  if (existsSync(dataDirectory)) {
    const { uid, gid } = statSync(dataDirectory);
    if (uid !== 0) return { uid, gid };
  }
  const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(
    existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8') : '',
  );
  return line === null ? { uid: 65534, gid: 65534 } : { uid: Number(line[1]), gid: Number(line[2]) };
}

function asUser({ uid, gid }, capability) {
  const ids = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'];
  if (capability === undefined) return [...ids, '--inh-caps=-all'];
  const only = `-all,+${capability}`;
  // Without no_setuid_fixup access(2), which initdb asks about its own programs, would ignore the capability.
  return [
    ...ids,
    `--inh-caps=${only}`,
    `--ambient-caps=${only}`,
    `--bounding-set=${only}`,
    '--securebits=+no_setuid_fixup',
  ];
}

/** The death signal is SIGINT, PostgreSQL's fast shutdown: the kernel sends it when the thread that started it is gone. */
function withSetpriv(flags) {
  return (program, args) => ({
    command: 'setpriv',
    args: [...flags, '--pdeathsig=INT', '--', program, ...args],
    ids: {},
  });
}

function direct(ids) {
  return (command, args) => ({ command, args, ids });
}

async function works(command, args, ids = {}) {
  const { code } = await run(command, args, { cwd: '/', ids, mayFail: true, timeoutMs: 20_000 });
  return code === 0;
}

/**
 * The last resort, as root in a container without those capabilities and with a clone that only root may enter: programs
 * and data live in a folder of their own that the other user can reach.
 */
async function privateCopy(launcher, log) {
  const { native, postgres } = postgresPrograms();
  const base = join(existsSync('/var/tmp') ? '/var/tmp' : '/tmp', `postgres-${shortHash(launcher.dataDirectory)}`);
  // Everybody may write in that parent: a folder that somebody else put there beforehand must not be used.
  if (!existsSync(base)) mkdirSync(base);
  const status = lstatSync(base);
  if (!status.isDirectory() || status.uid !== 0) throw new SetupError(`${base} is not ours: delete it and try again`);
  chmodSync(base, 0o755);
  log(
    `postgresql: user ${launcher.owner.uid} cannot reach ${launcher.dataDirectory}: programs and data are in ${base}`,
  );

  const { mtimeMs, size } = statSync(postgres);
  const copy = join(base, `programs-${shortHash(`${mtimeMs} ${size}`)}`);
  if (!existsSync(copy)) {
    const half = `${copy}.new`;
    rmSync(half, { recursive: true, force: true });
    cpSync(native, half, { recursive: true, verbatimSymlinks: true });
    await run('chmod', ['-R', 'a+rX', half]);
    renameSync(half, copy);
  }
  const programs = { postgres: join(copy, 'bin/postgres'), initdb: join(copy, 'bin/initdb') };
  return { ...launcher, programs, dataDirectory: join(base, 'data') };
}

function shortHash(text) {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
