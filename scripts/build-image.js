// `npm run build:image`: sets up what is missing, then builds the image with buildah; its papers go into dist/image.
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { runMain, setUp } from './setup.js';

await runMain(async () => {
  const { node } = await setUp();
  process.exitCode = await runChild(node, [join(root, 'scripts/image/main.ts'), ...process.argv.slice(2)]);
});
