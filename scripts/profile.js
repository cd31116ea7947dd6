// `npm run profile`: sets up what is missing, then runs the system under load with CPU profiles (bench/profile.ts).
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { runMain, setUp } from './setup.js';

await runMain(async () => {
  const { node } = await setUp();
  process.exitCode = await runChild(node, [join(root, 'bench/profile.ts'), ...process.argv.slice(2)]);
});
