// `npm run build:binary`: sets up what is missing, then builds the standalone binary and its archive into dist/binary.
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { runMain, setUp } from './setup.js';

await runMain(async () => {
  const { node } = await setUp();
  process.exitCode = await runChild(node, [join(root, 'scripts/binary/main.ts'), ...process.argv.slice(2)]);
});
