import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { postgresPackage } from './packages.js';
import { root, setupCache } from './places.js';

const resultFile = join(setupCache, 'postgres.json');

/**
 * PostgreSQL's programs as the npm package brings them.
 * @returns {{postgres: string, initdb: string, native: string}} `native` is the folder that holds bin, lib and share
 */
export function postgresPrograms() {
  const native = join(root, 'node_modules', postgresPackage, 'native');
  return { postgres: join(native, 'bin/postgres'), initdb: join(native, 'bin/initdb'), native };
}

/**
 * Checks that PostgreSQL is there and runs; starts no server.
 * @returns {Promise<{version: string}>}
 */
export async function checkPostgres() {
  const { postgres } = postgresPrograms();
  if (!existsSync(postgres)) {
    throw new SetupError(
      `there is no packaged PostgreSQL for ${process.platform}-${process.arch} (npm package ${postgresPackage}): ` +
        'use Linux on x64 or arm64, or macOS on arm64',
    );
  }
  const { mtimeMs, size } = statSync(postgres);
  const key = `${postgres} ${mtimeMs} ${size}`;
  try {
    const known = JSON.parse(readFileSync(resultFile, 'utf8'));
    if (known.key === key) return { version: known.version };
  } catch {
    // Not checked yet.
  }
  const { stdout } = await run(postgres, ['--version'], { timeoutMs: 30_000 });
  const version = /(\d+(?:\.\d+)+)/.exec(stdout)?.[1] ?? stdout.trim();
  mkdirSync(setupCache, { recursive: true });
  writeFileSync(resultFile, JSON.stringify({ key, version }));
  return { version };
}
