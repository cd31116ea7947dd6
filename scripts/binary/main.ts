import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../local/places.ts';
import { installTools } from '../setup/tools.js';
import { writeExecutable } from './executable.ts';
import { openBundler, writeLauncher, writeProgram } from './program.ts';

/**
 * Builds one file that runs where neither Node.js nor npm is (linux-x64, glibc 2.28 or newer):
 * `node scripts/binary/main.ts [--output DIRECTORY]`, by default dist/binary.
 */
const { values } = parseArgs({ options: { output: { type: 'string', default: join(repository, 'dist/binary') } } });
if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('the binary is built on and for linux-x64');
const output = resolve(values.output);
mkdirSync(output, { recursive: true });
const work = mkdtempSync(join(output, '.build-'));
const program = join(work, 'program');
const launcher = join(work, 'launcher.cjs');
const binary = join(output, 'hsm-driver');

try {
  const bundler = openBundler(await installTools('bundle'));
  await writeProgram(bundler, program);
  await writeLauncher(bundler, launcher);
  await writeExecutable(launcher, program, work, join(work, 'hsm-driver'));
  // Whole or not at all; a binary that runs is replaced, not written over.
  renameSync(join(work, 'hsm-driver'), binary);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.stdout.write(`${relative(process.cwd(), binary)}, ${Math.round(statSync(binary).size / 1e6)} MB\n`);
