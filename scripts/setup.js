import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killCommands, SetupError } from './setup/command.js';
import { withLock } from './setup/lock.js';
import { preparePackages } from './setup/packages.js';
import { factsFile, readable, setupCache } from './setup/places.js';
import { checkPostgres } from './setup/postgres-programs.js';
import { prepareToken } from './setup/softhsm.js';

/**
 * @typedef {object} Facts what set-up found or made
 * @property {string} node the Node.js that runs everything after set-up
 * @property {string} nodeVersion
 * @property {string} module PKCS#11 module of the local token
 * @property {string[]} curves that this module can generate, wrap, unwrap and sign with
 * @property {string} tokenSource `installed`, `built` or `stock`
 * @property {string} postgresVersion
 */

/**
 * Makes ready whatever is missing on this machine: npm packages, a soft token, PostgreSQL. Does nothing the second time.
 * One line per step on standard output.
 * @returns {Promise<Facts>} also in .cache/setup/facts.json
 */
export async function setUp() {
  const report = (line) => process.stdout.write(`${line}\n`);
  const onWait = () => report('set-up: another one is running on this clone, waiting for it');
  const stop = stopOnSignals();
  try {
    return await withLock(join(setupCache, 'lock'), onWait, () => prepare(report));
  } finally {
    stop();
  }
}

async function prepare(report) {
  const seconds = stopwatch();
  const packages = await preparePackages(report);
  report(`packages: ready (Node.js ${packages.nodeVersion})${packages.installed ? `, ${seconds()}` : ''}`);

  const token = await prepareToken(packages.node, report);
  report(`token: ${describe(token)}${token.source === 'built' && token.fresh ? `, ${seconds()}` : ''}`);

  const postgres = await checkPostgres();
  report(`postgresql: ${postgres.version} ready`);

  const facts = {
    node: packages.node,
    nodeVersion: packages.nodeVersion,
    module: token.module,
    library: token.library,
    curves: token.curves,
    tokenSource: token.source,
    postgresVersion: postgres.version,
  };
  mkdirSync(setupCache, { recursive: true });
  writeFileSync(`${factsFile}.new`, `${JSON.stringify(facts, null, 2)}\n`);
  renameSync(`${factsFile}.new`, factsFile);
  return facts;
}

const origins = {
  installed: 'installed on this machine',
  built: "built from Debian's source + patch",
  stock: 'installed on this machine',
};

function describe(token) {
  const missing = ['secp256k1', 'P-256', 'ed25519'].filter((curve) => !token.curves.includes(curve));
  const lacks =
    missing.length === 0 ? '' : `\n  MISSING: it cannot wrap ${missing.join(', ')} keys, so these do not work here.`;
  const problem = token.fresh ? token.problem : token.problem?.split('\n')[0];
  const why = missing.length === 0 || problem === undefined ? '' : ` A better one could not be built: ${problem}`;
  return `${readable(token.module)} (${token.curves.join(', ')}), ${origins[token.source]}${lacks}${why}`;
}

/** A set-up that is interrupted takes the commands that it started with it. */
function stopOnSignals() {
  const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };
  const stop = (signal) => {
    killCommands();
    process.exit(128 + numbers[signal]);
  };
  for (const signal of Object.keys(numbers)) process.once(signal, stop);
  return () => {
    for (const signal of Object.keys(numbers)) process.removeListener(signal, stop);
  };
}

function stopwatch() {
  let start = Date.now();
  return () => {
    const text = `${Math.max(1, Math.round((Date.now() - start) / 1000))} s`;
    start = Date.now();
    return text;
  };
}

/**
 * Runs a command's main function; a failure that a person can act on is told in one message, without a stack.
 * @param {() => Promise<unknown>} main
 */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`);
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runMain(setUp);
