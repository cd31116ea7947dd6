import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { sha256Of } from '../../src/standalone/unpack.ts';

const execute = promisify(execFile);

/**
 * Joins launcher and program with this Node.js into one file (Node's single executable application). Nothing from outside
 * changes how it starts: no NODE_OPTIONS, and no inspector by SIGUSR1.
 */
export async function writeExecutable(launcher: string, program: string, work: string, output: string): Promise<void> {
  const files = readdirSync(program, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => relative(program, join(one.parentPath, one.name)))
    .sort();
  const manifest = join(work, 'manifest.json');
  const list = files.map((path) => ({ path, sha256: sha256Of(readFileSync(join(program, path))) }));
  writeFileSync(manifest, JSON.stringify(list));
  const configuration = join(work, 'sea.json');
  writeFileSync(
    configuration,
    JSON.stringify({
      main: launcher,
      output,
      disableExperimentalSEAWarning: true,
      useSnapshot: false,
      useCodeCache: false,
      execArgv: ['--disable-sigusr1'],
      execArgvExtension: 'none',
      assets: {
        'manifest.json': manifest,
        ...Object.fromEntries(files.map((path) => [path, join(program, path)])),
      },
    }),
  );
  await execute(process.execPath, ['--build-sea', configuration]);
}
