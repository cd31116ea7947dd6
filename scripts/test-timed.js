// `npm run test:timed`: the tests that hold times which operators were promised, one after the other on a machine that is
// otherwise quiet. `npm test` runs them too, but only says their times.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from './setup/child.js';
import { root } from './setup/places.js';

const timed = readdirSync(join(root, 'test'))
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => join('test', name))
  .filter((file) => readFileSync(join(root, file), 'utf8').includes('support/in-time.ts'));
const env = { ...process.env, HSM_TESTS_TIMED: '1' };
process.exitCode = await runChild(process.execPath, [join(root, 'scripts/test.js'), '--jobs=1', ...timed], { env });
