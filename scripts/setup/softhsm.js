import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { machine, setupCache } from './places.js';
import { buildSoftHsm, builtModule } from './softhsm-build.js';
import { canInstall, installPackages } from './toolchain.js';

const resultFile = join(setupCache, 'token.json');
const probeFile = new URL('./wrap-probe.js', import.meta.url).pathname;
const wantedCurves = ['secp256k1', 'P-256', 'ed25519'];
/** A build that failed (no network, say) is tried again after this time, not at every start. */
const retryAfterMs = 3_600_000;

/**
 * @typedef {object} Token
 * @property {string} module path of the PKCS#11 module
 * @property {string} library what it calls itself
 * @property {string[]} curves for which generate, wrap, unwrap and sign work
 * @property {'installed'|'built'|'stock'} source `stock`: an installed one that lacks curves
 * @property {string} [problem] why no better one could be had
 * @property {boolean} [fresh] it was looked for just now, not in an earlier run
 */

/**
 * Finds a soft token module that can wrap and unwrap keys of every curve, or builds one.
 * @param {string} node the Node.js that will load it
 * @param {(line: string) => void} report
 * @returns {Promise<Token>}
 */
export async function prepareToken(node, report) {
  const known = readResult();
  if (known !== undefined) return known;
  const token = await findToken(node, report);
  mkdirSync(setupCache, { recursive: true });
  writeFileSync(resultFile, JSON.stringify({ ...token, key: keyOf(token.module), at: Date.now() }));
  return { ...token, fresh: true };
}

async function findToken(node, report) {
  const chosen = process.env.HSM_PKCS11_MODULE;
  if (chosen) {
    const found = await probe(node, chosen);
    if (found.curves.length > 0) return { ...found, source: isComplete(found) ? 'installed' : 'stock' };
    throw new SetupError(`HSM_PKCS11_MODULE is ${chosen}, which cannot be the local token: ${found.problem}`);
  }

  if (existsSync(builtModule())) {
    const built = await probe(node, builtModule());
    if (isComplete(built)) return { ...built, source: 'built' };
  }
  const stock = [];
  for (const module of installedModules()) {
    const found = await probe(node, module);
    if (isComplete(found)) return { ...found, source: 'installed' };
    if (found.curves.length > 0) stock.push(found);
  }

  let problem;
  try {
    const built = await probe(node, await buildSoftHsm(report));
    if (isComplete(built)) return { ...built, source: 'built' };
    problem = `the built module fails: ${built.problem}`;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    problem = error.message;
  }
  if (stock.length === 0 && canInstall()) {
    await installPackages(['softhsm2'], 'the local token', report);
    for (const module of installedModules()) stock.push(await probe(node, module));
  }
  const best = stock.sort((a, b) => b.curves.length - a.curves.length)[0];
  if (best === undefined || best.curves.length === 0) {
    throw new SetupError(
      `no SoftHSM was found and none could be built: ${problem}\n` +
        'Install SoftHSM 2.7 or newer, or name its module in HSM_PKCS11_MODULE, then run the same command again',
    );
  }
  return { ...best, source: 'stock', problem };
}

function isComplete({ curves }) {
  return wantedCurves.every((curve) => curves.includes(curve));
}

/** Tries a module in a process of its own; never throws, a module that crashes simply has no curves. */
async function probe(node, module) {
  const none = { module, library: '', curves: [] };
  if (!existsSync(module)) return { ...none, problem: 'there is no such file' };
  const folder = mkdtempSync(join(tmpdir(), 'token-probe-'));
  try {
    const { code, stdout, stderr } = await run(node, [probeFile, module, folder], { mayFail: true, timeoutMs: 60_000 });
    if (code !== 0) {
      return { ...none, problem: stderr.split('\n').find((line) => /Error/.test(line)) ?? `exit code ${code}` };
    }
    const result = JSON.parse(stdout);
    if (result.refused) return { ...none, problem: result.refused };
    const problem = Object.entries(result.failed).map(([curve, why]) => `${curve}: ${why}`);
    return {
      module,
      library: result.library,
      curves: result.curves,
      ...(problem.length > 0 && { problem: problem.join(', ') }),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** SoftHSM modules in the places where distributions and Homebrew put them, each once. */
function installedModules() {
  const below = (folder) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []);
  const folders = ['/usr/lib', '/usr/lib64', '/usr/local/lib', '/opt/homebrew/lib', ...below('/usr/lib')];
  const files = folders.flatMap((folder) => [
    join(folder, 'softhsm/libsofthsm2.so'),
    join(folder, 'pkcs11/libsofthsm2.so'),
    join(folder, 'libsofthsm2.so'),
  ]);
  return [...new Set(files.filter((file) => existsSync(file)).map((file) => realpathSync(file)))];
}

/** Another module, or another file in its place, is another result. */
function keyOf(module) {
  const { mtimeMs, size } = statSync(module);
  return [process.env.HSM_PKCS11_MODULE ?? '', builtModule(), module, mtimeMs, size, machine()].join(' ');
}

function readResult() {
  try {
    const { key, at, ...token } = JSON.parse(readFileSync(resultFile, 'utf8'));
    const expired = token.source === 'stock' && Date.now() - at > retryAfterMs;
    return key === keyOf(token.module) && !expired ? token : undefined;
  } catch {
    return undefined;
  }
}
