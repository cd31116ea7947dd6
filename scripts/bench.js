// `npm run bench`: sets up what is missing, then measures the system against its own HSM (bench/main.ts).
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { runMain, setUp } from './setup.js';

await runMain(async () => {
  const { node } = await setUp();
  process.exitCode = await runChild(node, [join(root, 'bench/main.ts'), ...process.argv.slice(2)]);
});
