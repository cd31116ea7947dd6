import t from 'tap';
import { runChaos } from './chaos/run-chaos.ts';
import { openFaultSystem } from './faults/fault-system.ts';

/** A short run of `npm run test:chaos`, always with the same disturbances. */
// Whoever runs this file by itself has 30 s otherwise.
t.setTimeout(400_000);
const system = await openFaultSystem(t, { slot: { callDeadlineMs: 1_000 } });

t.test('under random disturbances nothing that must never be true becomes true', async (t) => {
  const { problems, signed, keys } = await runChaos(t, system, {
    seed: 4,
    durationMs: 25_000,
    say: (line) => t.comment(line),
  });
  t.ok(signed > 0);
  t.ok(keys > 4, 'keys were made meanwhile');
  t.strictSame(problems, []);
});
