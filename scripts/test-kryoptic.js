// `npm run test:kryoptic`: builds Kryoptic, a PKCS#11 token that shares no code with SoftHSM, then runs the tests on it.
// Not part of `npm test`, which must not need the Rust package registry; once it is built, `npm test` runs them too.
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { buildKryoptic } from './setup/kryoptic.js';
import { root } from './setup/places.js';

try {
  await buildKryoptic((line) => process.stdout.write(`${line}\n`));
  process.exitCode = await runChild(process.execPath, [join(root, 'scripts/test.js'), 'test/hsm-kryoptic.test.ts']);
} catch (error) {
  process.stderr.write(`${error.name === 'SetupError' ? error.message : error.stack}\n`);
  process.stdout.write('\n0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}
