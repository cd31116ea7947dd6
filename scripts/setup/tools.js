import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.js';
import { withLock } from './lock.js';
import { cache, root } from './places.js';
import { outsideEnvironment } from './toolchain.js';

/**
 * Installs what tools/NAME lists, from its own lock file, into a folder of its own: tools that build or test, and are no
 * part of the product's dependencies. Does nothing the second time.
 * @param {string} name
 * @param {(folder: string) => Promise<void>} [prepare] once, after an installation
 * @returns {Promise<string>} the folder that holds node_modules
 */
export async function installTools(name, prepare = async () => {}) {
  const source = join(root, 'tools', name);
  const folder = join(cache, 'tools', name);
  const stamp = join(folder, 'installed');
  mkdirSync(folder, { recursive: true });
  return await withLock(
    join(folder, 'lock'),
    () => {},
    async () => {
      const lockFile = readFileSync(join(source, 'package-lock.json'), 'utf8');
      if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockFile) return folder;
      rmSync(stamp, { force: true });
      for (const file of ['package.json', 'package-lock.json', '.npmrc'])
        writeFileSync(join(folder, file), readFileSync(join(source, file)));
      const env = outsideEnvironment();
      await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, env, timeoutMs: 300_000 });
      await prepare(folder);
      writeFileSync(stamp, lockFile);
      return folder;
    },
  );
}
