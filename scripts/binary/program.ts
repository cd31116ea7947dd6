import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { repository } from '../local/places.ts';

/**
 * The program as the binary carries it: the code of each process in few files, and the packages with native code as they
 * are. Laid out like a build, so that the same code finds its parts here and there.
 *
 *   start.cjs            imports a file; see src/standalone/launcher.ts
 *   package.json         the version
 *   dist/cli/main.js     entries, at the places that they have in a build
 *   dist/chunks/*.js     what entries share
 *   node_modules/…       packages with native code
 */
export type Bundler = {
  build(options: Record<string, unknown>): Promise<unknown>;
};

export function openBundler(tools: string): Bundler {
  return createRequire(join(tools, 'package.json'))('esbuild') as Bundler;
}

const source = join(repository, 'src');

/** Everything that is started as a process or thread of its own: by its name, see test/binary-entries.test.ts. */
export function entries(): readonly string[] {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' });
  return ['cli/main.ts', 'worker/main.ts', ...files.filter((file) => /-(process|thread)\.ts$/.test(file))].sort();
}

export async function writeProgram(bundler: Bundler, folder: string): Promise<void> {
  await bundler.build({
    entryPoints: entries().map((entry) => join(source, entry)),
    outbase: source,
    outdir: join(folder, 'dist'),
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: [...natives.map(({ name }) => name), 'pg-native'],
    // Packages in CommonJS ask for built-in modules with require().
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
    },
    legalComments: 'none',
    logLevel: 'error',
  });
  writeFileSync(join(folder, 'start.cjs'), 'module.exports = (url) => import(url);\n');
  const { name, version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ name, version, type: 'module' })}\n`);
  for (const native of natives) copyNative(native, folder);
}

/** The launcher: one file in CommonJS, what Node's single executables run first. */
export async function writeLauncher(bundler: Bundler, file: string): Promise<void> {
  await bundler.build({
    entryPoints: [join(source, 'standalone/launcher.ts')],
    outfile: file,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    logLevel: 'error',
  });
}

interface Native {
  readonly name: string;
  /** Files and folders of the package that are needed when it runs. */
  readonly files: readonly string[];
}

/** For linux-x64 with glibc. */
const natives: readonly Native[] = [
  { name: 'pkcs11js', files: ['package.json', 'LICENSE', 'index.js', 'build/Release/pkcs11.node'] },
  {
    name: 'secp256k1',
    files: ['package.json', 'LICENSE', 'bindings.js', 'lib', 'prebuilds/linux-x64/secp256k1.glibc.node'],
  },
  { name: 'node-gyp-build', files: ['package.json', 'LICENSE', 'index.js', 'node-gyp-build.js'] },
  {
    name: 'koffi',
    files: ['package.json', 'LICENSE.txt', 'index.js', 'src/koffi/index.js', 'src/koffi/src/static.js'],
  },
  { name: '@koromix/koffi-linux-x64', files: ['package.json', 'index.js', 'linux_x64/koffi.node'] },
];

function copyNative({ name, files }: Native, folder: string): void {
  const from = join(repository, 'node_modules', name);
  const to = join(folder, 'node_modules', name);
  const inside = (path: string): readonly string[] =>
    path.includes('.') || path === 'LICENSE' ? [path] : readdirSync(join(from, path)).map((one) => join(path, one));
  for (const path of files.flatMap(inside)) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    copyFileSync(join(from, path), join(to, path));
  }
}
