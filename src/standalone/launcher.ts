import { createRequire } from 'node:module';
import { join, sep } from 'node:path';
import { getRawAsset } from 'node:sea';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { unpackPlaces } from './places.ts';
import { nameOf, type Packed, type ProgramFile, unpackProgram } from './unpack.ts';

/**
 * The standalone binary's own first code: unpacks the program and runs it from there. Workers and child processes are this
 * binary again, with the file to run as their first argument, as Node's `fork` passes it.
 */
const manifest = 'manifest.json';

const asset = (name: string) => Buffer.from(getRawAsset(name));
const packed: Packed = { files: JSON.parse(asset(manifest).toString('utf8')) as ProgramFile[], content: asset };
const given = withoutFlags(process.argv.slice(2));
const parents = process.channel === undefined ? undefined : folderOfParent(given[0] ?? '');
const folder = unpacked(parents === undefined ? unpackPlaces(process.env, process.geteuid?.() ?? 0) : [parents]);
const file = parents === undefined ? join(folder, 'dist/cli/main.js') : String(given[0]);
process.argv = [process.execPath, file, ...given.slice(parents === undefined ? 0 : 1)];
// Code inside the binary can import built-in modules only; code in a file can import files.
const start = createRequire(file)(join(folder, 'start.cjs')) as (url: string) => Promise<unknown>;
start(pathToFileURL(file).href).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});

/**
 * `fork` puts Node's own flags before the file. This binary has --disable-sigusr1 inside; of V8's, what threads begin with
 * can still be set here. Nobody else's words are taken for flags.
 */
function withoutFlags(words: readonly string[]): readonly string[] {
  if (process.channel === undefined) return words;
  const flags = words.slice(
    0,
    words.findIndex((word) => !word.startsWith('--')),
  );
  for (const flag of flags.filter((one) => one.startsWith('--max-semi-space-size='))) setFlagsFromString(flag);
  return words.slice(flags.length);
}

/**
 * A child of ours has a channel to its parent, and is told which of the program's files to run: the parent's folder is in its
 * path. A worker has next to no environment, and would look elsewhere.
 */
function folderOfParent(path: string): string | undefined {
  const at = path.indexOf(`${sep}${nameOf(packed.files)}${sep}dist${sep}`);
  return at > 0 && packed.files.some((one) => path.endsWith(`${sep}${one.path}`)) ? path.slice(0, at) : undefined;
}

function unpacked(places: readonly string[]): string {
  const problems: string[] = [];
  for (const place of places) {
    try {
      return unpackProgram(packed, place);
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  process.stderr.write(
    `hsm-driver: its files cannot be unpacked (${problems.join('; ')}). Set HSM_DRIVER_UNPACK_DIRECTORY to a folder of this user.\n`,
  );
  return process.exit(1);
}
