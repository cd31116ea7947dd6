import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { cache, machine, root } from './places.js';
import { ensureTools, onPath } from './toolchain.js';

const project = join(root, 'scripts/kryoptic');

/** Where a build with today's recipe is kept. */
function buildFolder() {
  const recipe = ['Cargo.toml', 'src/lib.rs'].map((file) => readFileSync(join(project, file), 'utf8'));
  const name = createHash('sha256')
    .update([...recipe, machine()].join('\n'))
    .digest('hex')
    .slice(0, 16);
  return join(cache, 'kryoptic', name);
}

/** The module that `buildKryoptic` made earlier (or would make). */
export function kryopticModule() {
  return join(buildFolder(), 'libkryoptic_token.so');
}

/**
 * Builds Kryoptic with cargo, from the Rust package registry: about a minute on two cores.
 * @param {(line: string) => void} report
 * @returns {Promise<string>} the module's path
 */
export async function buildKryoptic(report) {
  const module = kryopticModule();
  if (existsSync(module)) return module;
  if (process.platform !== 'linux') throw new SetupError('Kryoptic is built on Linux only');
  if (!onPath('cargo'))
    throw new SetupError('Kryoptic needs cargo (rustup, or Debian’s package with Rust 1.85 or newer)');
  const tools = ['g++', 'OpenSSL headers', 'SQLite headers', 'pkg-config', 'libclang'];
  await ensureTools(tools, 'building Kryoptic', report);
  report('token: building Kryoptic with cargo (about a minute)');
  const folder = buildFolder();
  mkdirSync(folder, { recursive: true });
  const headers = await run('g++', ['-print-file-name=include']);
  // libclang alone has no headers of its own: the C compiler's will do.
  const env = { ...process.env, BINDGEN_EXTRA_CLANG_ARGS: `-I${headers.stdout.trim()}` };
  // Built beside the sources' copy: cargo writes its lock file there.
  const work = join(folder, 'build');
  mkdirSync(join(work, 'src'), { recursive: true });
  for (const file of ['Cargo.toml', 'src/lib.rs']) copyFileSync(join(project, file), join(work, file));
  await run('cargo', ['build', '--release', '--quiet'], { cwd: work, env, timeoutMs: 1_200_000 });
  copyFileSync(join(work, 'target/release/libkryoptic_token.so'), `${module}.new`);
  renameSync(`${module}.new`, module);
  return module;
}
