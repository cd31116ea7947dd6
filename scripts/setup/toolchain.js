import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, SetupError } from './command.js';
import { root } from './places.js';

/** What a build may need: how to see that it is there, and Debian's package that brings it. */
const tools = {
  'g++': { found: () => onPath('g++') || onPath('c++'), debian: 'g++' },
  make: { found: () => onPath('make'), debian: 'make' },
  python3: { found: () => onPath('python3'), debian: 'python3' },
  cmake: { found: () => onPath('cmake'), debian: 'cmake' },
  patch: { found: () => onPath('patch'), debian: 'patch' },
  'dpkg-source': { found: () => onPath('dpkg-source'), debian: 'dpkg-dev' },
  'pkg-config': { found: () => onPath('pkg-config'), debian: 'pkg-config' },
  'SQLite headers': { found: () => existsSync('/usr/include/sqlite3.h'), debian: 'libsqlite3-dev' },
  libclang: { found: hasLibclang, debian: 'libclang1' },
  'OpenSSL headers': { found: () => existsSync('/usr/include/openssl/evp.h'), debian: 'libssl-dev' },
};

/** @typedef {keyof typeof tools} Tool */

/** Where Debian puts it: beside the system's libraries, or in a folder of its version of LLVM. */
function hasLibclang() {
  const base = '/usr/lib';
  const folders = readdirSync(base).flatMap((name) => [join(base, name), join(base, name, 'lib')]);
  return folders.some((folder) => {
    try {
      return readdirSync(folder).some((file) => /^libclang(-\d+)?\.so/.test(file));
    } catch {
      return false;
    }
  });
}

/** Whether a program of this name can be run. */
export function onPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

/**
 * Makes sure that these tools are there: installs what is missing where that is possible (root on Debian or Ubuntu).
 * @param {Tool[]} names
 * @param {string} purpose what they are for, for the message
 * @param {(line: string) => void} report
 */
export async function ensureTools(names, purpose, report) {
  const missing = names.filter((name) => !tools[name].found());
  if (missing.length === 0) return;
  const packages = missing.map((name) => tools[name].debian);
  if (!canInstall()) {
    throw new SetupError(
      `${purpose} needs ${missing.join(', ')}: install ${missing.length > 1 ? 'them' : 'it'} ` +
        `(Debian, Ubuntu: apt-get install ${packages.join(' ')}), then run the same command again`,
    );
  }
  await installPackages(packages, purpose, report);
}

/** Whether this process may install Debian packages. */
export function canInstall() {
  return process.getuid?.() === 0 && onPath('apt-get');
}

/** Installs Debian packages; asks the archive for its newest lists only when the known ones do not do. */
export async function installPackages(packages, purpose, report) {
  report(`installing ${packages.join(' ')} with apt-get (${purpose} needs ${packages.length > 1 ? 'them' : 'it'})`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['-qq', '-y', '-o', 'DPkg::Lock::Timeout=120', 'install', '--no-install-recommends', ...packages];
  const first = await run('apt-get', install, { env, mayFail: true });
  if (first.code === 0) return;
  await run('apt-get', ['-qq', 'update'], { env });
  await run('apt-get', install, { env });
}

/**
 * What to put in front of a command so that the kernel sends it a signal when the thread that starts it is gone, even by
 * SIGKILL. Empty where that cannot be done (not Linux, or a setpriv that does not know how).
 * @param {'INT'|'KILL'} signal
 * @returns {Promise<string[]>}
 */
export async function endingWithUs(signal) {
  const prefix = ['setpriv', `--pdeathsig=${signal}`, '--'];
  if (!onPath('setpriv')) return [];
  const { code } = await run(prefix[0], [...prefix.slice(1), 'true'], { mayFail: true, timeoutMs: 20_000 });
  return code === 0 ? prefix : [];
}

/** Node.js headers on this machine for building native packages, so that none are fetched; undefined: there are none. */
export function nodeHeaders() {
  const own = join(root, 'node_modules', `node-${process.platform}-${process.arch}`);
  return [own, '/usr', '/usr/local'].find((folder) => existsSync(join(folder, 'include/node/node_api.h')));
}

/** The environment without this clone's own node_modules/.bin: `npm ci` deletes the Node.js found there while it runs. */
export function outsideEnvironment() {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !/node_modules[\\/]\.bin[\\/]?$/.test(folder));
  return { ...process.env, PATH: path.join(delimiter) };
}

/**
 * The Node.js that runs everything after set-up: the pinned one of the packages where this platform has it, else the one
 * that runs now, if it is new enough to run TypeScript as it is.
 * @param {(line: string) => void} report
 * @returns {Promise<{path: string, version: string}>}
 */
export async function findNode(report) {
  const own = join(root, 'node_modules/.bin/node');
  let problem = `there is no packaged Node.js for ${process.platform}-${process.arch}`;
  if (existsSync(own)) {
    const version = () => run(own, ['--version'], { mayFail: true, timeoutMs: 20_000 });
    let result = await version();
    // A small Debian image does not have this library; it otherwise comes with the compiler.
    if (result.code !== 0 && /libatomic\.so/.test(result.stderr) && canInstall()) {
      await installPackages(['libatomic1'], 'the packaged Node.js', report);
      result = await version();
    }
    if (result.code === 0) return { path: own, version: result.stdout.trim() };
    problem = `the packaged Node.js does not run here (${result.stderr.trim().split('\n')[0]})`;
  }
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return { path: process.execPath, version: process.version };
  const library = /libatomic/.test(problem) ? 'that library (Debian, Ubuntu: apt-get install libatomic1) or ' : '';
  throw new SetupError(
    `${problem} and this one is ${process.version}: install ${library}Node.js 22.19 or newer, then run the same command again`,
  );
}
