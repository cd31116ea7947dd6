// `npm run test:faults`: sets up what is missing, then runs every fault of test/faults on real parts (some minutes).
// `npm run test:faults -- --only TEXT` runs the rows whose name contains it, `-- --repeat 20` each of them twenty times,
// `-- --write` keeps what was measured in the docs. What is measured is the build, as it is deployed: it is made first.
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';
import { canInstall, installPackages, onPath } from './setup/toolchain.js';
import { setUp } from './setup.js';

try {
  const { node } = await setUp();
  // For hosts of their own; without it their rows are skipped, and say so.
  if (!onPath('ip') && canInstall()) {
    const report = (line) => process.stdout.write(`${line}\n`);
    await installPackages(['iproute2'], 'the fault tests', report).catch((error) => report(error.message));
  }
  process.exitCode =
    (await runChild(node, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])) ||
    (await runChild(node, [join(root, 'test/faults/main.ts'), ...process.argv.slice(2)]));
} catch (error) {
  process.stderr.write(`${error.name === 'SetupError' ? error.message : error.stack}\n`);
  // What reads the closing line must not take a run that never began for a good one.
  process.stdout.write('\n0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
