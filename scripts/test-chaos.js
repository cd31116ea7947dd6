// `npm run test:chaos`: sets up what is missing, then disturbs a running system at random for three minutes.
// `-- --seconds N` for how long, `-- --seed N` to do the same again.
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { setUp } from './setup.js';

try {
  const { node } = await setUp();
  process.exitCode = await runChild(node, [join(root, 'test/chaos/main.ts'), ...process.argv.slice(2)]);
} catch (error) {
  process.stderr.write(`${error.name === 'SetupError' ? error.message : error.stack}\n`);
  // What reads the closing line must not take a run that never began for a good one.
  process.stdout.write('\n0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
