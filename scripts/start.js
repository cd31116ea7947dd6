// `npm start`: sets up what is missing, then runs everything on this machine until Ctrl-C (scripts/local/main.ts).
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { runMain, setUp } from './setup.js';

await runMain(async () => {
  const { node } = await setUp();
  // SIGUSR1 would open Node's inspector in a process that reads PINs.
  const args = ['--disable-sigusr1', join(root, 'scripts/local/main.ts'), ...process.argv.slice(2)];
  process.exitCode = await runChild(node, args, { ownGroup: true });
});
