import t from 'tap';
import { openFaultSystem } from './faults/fault-system.ts';
import { deviceError, hangInSign } from './faults/hsm-faults.ts';
import { apiRestarted, primaryKilled, workerKilled } from './faults/process-faults.ts';
import { runFault } from './faults/run-fault.ts';

/** Some rows of `npm run test:faults`, with a short deadline for calls; docs/failover.md has all of them. */
// Whoever runs this file by itself has 30 s otherwise.
t.setTimeout(400_000);
const system = await openFaultSystem(t, { slot: { callDeadlineMs: 1_000 } });

for (const fault of [deviceError, hangInSign, workerKilled, primaryKilled, apiRestarted]) {
  t.test(`${fault.name} under load: no request is lost or fails, and the slot comes back`, async (t) => {
    const { problems, slowestMs, recoveredMs, during } = await runFault(system, { ...fault, lastsMs: 500 });
    t.comment(`slowest ${Math.round(slowestMs)} ms, recovered after ${Math.round(recoveredMs)} ms`);
    t.comment(during.join(' → '));
    t.strictSame(problems, []);
  });
}
