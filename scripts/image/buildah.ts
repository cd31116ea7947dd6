import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Builds images without a daemon, with a store of its own. Needs root, or a user with subordinate ids. */
export interface Buildah {
  run(...args: readonly string[]): Promise<string>;
  /** An image from a folder that holds a root file system. */
  importTree(folder: string, tag: string, environment?: Readonly<Record<string, string>>): Promise<void>;
  build(options: BuildOptions): Promise<void>;
  /** SHA-256 of the image’s manifest as it is stored here. */
  digest(tag: string): Promise<string>;
}

export interface BuildOptions {
  readonly context: string;
  readonly target: string;
  readonly tag: string;
  readonly arguments: Readonly<Record<string, string>>;
}

export function openBuildah(store: string): Buildah {
  mkdirSync(store, { recursive: true });
  const places = ['--root', join(store, 'storage'), '--runroot', join(store, 'run')];
  const env = { ...process.env, BUILDAH_ISOLATION: 'chroot' };
  const run = async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await execute('buildah', [...places, ...args], { env, maxBuffer: 64 << 20 });
    return stdout.trim();
  };
  return {
    run,
    async importTree(folder, tag, environment = {}) {
      const container = await run('from', 'scratch');
      const mounted = await run('mount', container);
      await execute('cp', ['-a', `${folder}/.`, `${mounted}/`]);
      await run('umount', container);
      for (const [name, value] of Object.entries(environment))
        await run('config', '--env', `${name}=${value}`, container);
      await run('commit', '--quiet', '--disable-compression', '--rm', container, tag);
    },
    async build({ context, target, tag, arguments: given }) {
      const args = Object.entries(given).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
      // A health check is not part of the OCI format.
      await run(
        'bud',
        '--quiet',
        '--format',
        'docker',
        '--layers=false',
        '--target',
        target,
        '--tag',
        tag,
        ...args,
        context,
      );
    },
    async digest(tag) {
      const { FromImageDigest } = JSON.parse(await run('inspect', '--type', 'image', tag)) as {
        FromImageDigest: string;
      };
      return FromImageDigest.replace(/^sha256:/, '');
    },
  };
}
