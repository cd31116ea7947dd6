import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../../..');
const flags = ['-D_GNU_SOURCE', '-std=gnu11', '-shared', '-fPIC', '-O2', '-fvisibility=hidden', '-Wall'];
const libraries = ['-ldl', '-lpthread'];

let built: Promise<string> | undefined;

/**
 * The path of the fault module, compiled when these sources have not been before. Any number of processes may call it at
 * once.
 * @throws Error that says how to get a compiler, or what the compiler said.
 */
export function buildFaultModule(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const sources = readdirSync(import.meta.dirname)
    .filter((name) => /\.[ch]$/.test(name))
    .sort();
  // A clone may be used by another system as well, a container say: what is built for one C library may not load there.
  const system = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const hash = createHash('sha256').update(JSON.stringify([compiler(), flags, process.platform, process.arch, system]));
  for (const name of sources) hash.update(name).update(readFileSync(join(import.meta.dirname, name)));
  const directory = join(root, '.cache/fault-module', hash.digest('hex').slice(0, 16));
  const library = join(directory, 'fault-pkcs11.so');
  if (existsSync(library)) return library;

  mkdirSync(directory, { recursive: true });
  const unfinished = join(directory, `${randomUUID()}.so`);
  const files = sources.filter((name) => name.endsWith('.c')).map((name) => join(import.meta.dirname, name));
  try {
    await compile(files, unfinished);
    // The first one to finish stays: a library must not be replaced while others load it.
    if (!existsSync(library)) linkSync(unfinished, library);
  } catch (error) {
    if (existsSync(library)) return library;
    removeIfEmpty(directory);
    throw error;
  } finally {
    rmSync(unfinished, { force: true });
  }
  return library;
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Another process is building there.
  }
}

function compiler(): string {
  return process.env.CC || 'cc';
}

/** @throws Error that says how to get a compiler, or what the compiler said. */
export async function compile(files: readonly string[], library: string): Promise<void> {
  try {
    await promisify(execFile)(compiler(), [...flags, '-o', library, ...files, ...libraries]);
  } catch (cause) {
    const { code, stderr = '' } = cause as NodeJS.ErrnoException & { stderr?: string };
    if (code === 'ENOENT' || code === 'EACCES') {
      throw new Error(
        `the fault module needs a C compiler and “${compiler()}” cannot be run: install one (Debian, Ubuntu: ` +
          'apt-get install gcc libc6-dev), or name one in the environment variable CC',
        { cause },
      );
    }
    throw new Error(`the fault module cannot be compiled by “${compiler()}”:\n${stderr.slice(0, 4000)}`, { cause });
  }
}
