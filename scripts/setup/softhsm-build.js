import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { fetchDebianSource } from './debian-source.js';
import { cache } from './places.js';
import { ensureTools } from './toolchain.js';

const patchFile = new URL('./softhsm-edwards.patch', import.meta.url).pathname;
const builds = join(cache, 'softhsm');

/** The patch has no context lines, so it must meet exactly these files: anywhere else it would land on wrong lines. */
const expected = {
  'src/lib/SoftHSM.cpp': 'efda0dac006dd381fcdf300c5a68915ed14e603f5f8cd690efb5b9b618dac494',
  'src/lib/SoftHSM.h': '5b8136942989cd4bafd26b5b97caffade991bf5d1a4816f1cf3a56cbc0185c8c',
};

// GOST and p11-kit are on by default and need what OpenSSL 3 no longer has, or would reach outside of our folder.
const options = [
  '-DWITH_CRYPTO_BACKEND=openssl',
  '-DENABLE_ECC=ON',
  '-DENABLE_EDDSA=ON',
  '-DENABLE_GOST=OFF',
  '-DENABLE_P11_KIT=OFF',
  '-DENABLE_STATIC=OFF',
  '-DBUILD_TESTS=OFF',
  '-DCMAKE_BUILD_TYPE=Release',
];

/** Where a build with today's recipe is kept: another patch, option or processor is another folder. */
function buildFolder() {
  const recipe = [
    readFileSync(patchFile, 'utf8'),
    ...options,
    ...Object.values(expected),
    process.platform,
    process.arch,
  ];
  return join(builds, createHash('sha256').update(recipe.join('\n')).digest('hex').slice(0, 16));
}

/** The module that `buildSoftHsm` made earlier (or would make). */
export function builtModule() {
  return join(buildFolder(), 'libsofthsm2.so');
}

/**
 * Builds SoftHSM from Debian's source package with our patch, which lets ed25519 keys be wrapped.
 * @param {(line: string) => void} report
 * @returns {Promise<string>} the module's path
 */
export async function buildSoftHsm(report) {
  if (process.platform !== 'linux') throw new SetupError('building SoftHSM from source is only done on Debian');
  await ensureTools(['cmake', 'g++', 'make', 'OpenSSL headers', 'dpkg-source', 'patch'], 'building SoftHSM', report);
  mkdirSync(builds, { recursive: true });
  // Left by builds that were killed; set-up's lock is held, so none of them still runs.
  for (const name of readdirSync(builds)) {
    if (name.startsWith('.build-')) rmSync(join(builds, name), { recursive: true, force: true });
  }
  const work = mkdtempSync(join(builds, '.build-'));
  try {
    report('token: building SoftHSM 2.6.1 with Edwards key wrapping from the Debian source package (about a minute)');
    const source = await fetchDebianSource('softhsm2', join(work, 'apt'));
    verifySources(source);
    await run('patch', ['-p1', '--fuzz=0', '--batch', '-i', patchFile], { cwd: source });
    const tree = join(work, 'build');
    mkdirSync(tree);
    const target = buildFolder();
    const places = [`-DDEFAULT_PKCS11_LIB=${target}/libsofthsm2.so`, `-DDEFAULT_SOFTHSM2_CONF=${target}/softhsm2.conf`];
    await run('cmake', [source, ...options, ...places], { cwd: tree });
    const jobs = String(availableParallelism());
    await run('make', ['-j', jobs, 'softhsm2', 'softhsm2-util'], { cwd: tree, timeoutMs: 1_200_000 });

    // Only whole results become visible: another process may look for the module at any time.
    const made = join(work, 'made');
    mkdirSync(made);
    copyFileSync(join(tree, 'src/lib/libsofthsm2.so'), join(made, 'libsofthsm2.so'));
    copyFileSync(join(tree, 'src/bin/util/softhsm2-util'), join(made, 'softhsm2-util'));
    copyFileSync(join(source, 'LICENSE'), join(made, 'LICENSE'));
    rmSync(target, { recursive: true, force: true });
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return builtModule();
}

function verifySources(source) {
  for (const [file, digest] of Object.entries(expected)) {
    const path = join(source, file);
    const found = existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'missing';
    if (found !== digest) {
      throw new SetupError(`Debian's softhsm2 source has changed (${file}): softhsm-edwards.patch needs a look first`);
    }
  }
}
