// `npm test`: sets up what is missing, then runs all tests, or those named: `npm test -- test/queue.test.ts`.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runChild } from './setup/child.js';
import { run } from './setup/command.js';
import { root, setupCache } from './setup/places.js';
import { setUp } from './setup.js';

const stampFile = join(setupCache, 'tap.stamp');

try {
  const { node } = await setUp();
  // Test programs that start `node` must get the same one.
  const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env.PATH ?? ''}` };
  // Tests start hundreds of processes from sources: each would take the types out of the same files again.
  env.NODE_COMPILE_CACHE ??= join(root, '.cache/compiled');
  const tap = join(root, 'node_modules/tap/dist/esm/run.mjs');
  await buildTap(node, tap, env);
  process.exitCode = await runChild(node, [tap, ...process.argv.slice(2)], { env });
} catch (error) {
  process.stderr.write(`${error.name === 'SetupError' ? error.message : error.stack}\n`);
  // What reads the closing line must not take a run that never began for a good one.
  process.stdout.write('\n0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}

/** tap compiles the plugins named in .taprc into .tap/plugins: once for each version of tap and each choice of plugins. */
async function buildTap(node, tap, env) {
  const hash = createHash('sha256').update(node);
  for (const file of ['.taprc', 'node_modules/tap/package.json']) hash.update(readFileSync(join(root, file)));
  const stamp = hash.digest('hex');
  const built =
    existsSync(join(root, '.tap/plugins')) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
  if (built) return;
  process.stdout.write('tests: preparing the test runner\n');
  await run(node, [tap, 'build'], { env });
  writeFileSync(stampFile, stamp);
}
