// `npm run rotate`: rotates the master key of the installation that `npm start` runs (scripts/local/rotate.ts).
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { runMain, setUp } from './setup.js';

await runMain(async () => {
  const { node } = await setUp();
  const args = ['--disable-sigusr1', join(root, 'scripts/local/rotate.ts'), ...process.argv.slice(2)];
  process.exitCode = await runChild(node, args, { ownGroup: true });
});
