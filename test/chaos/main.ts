import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createReleasers } from '../../src/shared/releasers.ts';
import { openFaultSystem } from '../faults/fault-system.ts';
import { runChaos } from './run-chaos.ts';

/**
 * `npm run test:chaos`: random disturbances, one after the other, while applications sign and make keys; then nothing of
 * what must never be true may be in the history of what they were told and what the databases hold.
 *
 *   --seconds N   how long (180)
 *   --seed N      the same disturbances again
 */
const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '180' }, seed: { type: 'string' } },
});
const seed = Number(options.seed ?? randomInt(2 ** 31));
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const releasers = createReleasers((what, error) => say(`${what}: ${(error as Error).message}`));
const user = {
  teardown: (handler: () => void | Promise<void>) => releasers.add('clean-up', handler, 30_000),
  fail: say,
};
let passed = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => void releasers.release().finally(() => process.exit(1)));

say(`seed ${seed}`);
try {
  const system = await openFaultSystem(user, { slot: { callDeadlineMs: 1_000 } });
  const began = performance.now();
  const result = await runChaos(user, system, {
    seed,
    durationMs: Number(options.seconds) * 1_000,
    say: (line) => say(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)}  ${line}`),
  });
  const count = [...result.disturbances.values()].reduce((sum, times) => sum + times, 0);
  say(`\n${count} disturbances of ${result.disturbances.size} kinds`);
  say(`${result.signed} signatures, ${result.repeated} of them asked for more than once; ${result.keys} keys`);
  for (const problem of result.problems.slice(0, 20)) say(`FAILED ${problem}`);
  passed = result.problems.length === 0 && result.signed > 0;
} catch (error) {
  say((error as Error).stack ?? String(error));
} finally {
  await releasers.release();
}
say(`\n${passed ? 1 : 0} passed, ${passed ? 0 : 1} failed, 0 skipped`);
process.exit(passed ? 0 : 1);
