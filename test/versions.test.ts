import t from 'tap';
import { openFaultSystem } from './faults/fault-system.ts';
import { runFault } from './faults/run-fault.ts';
import { versionFaults } from './faults/version-faults.ts';

/** Programs of version N-1 and N work together, on databases that are migrated: two rows of `npm run test:faults`. */
// Whoever runs this file by itself has 30 s otherwise.
t.setTimeout(400_000);
const obstacle = await versionFaults[0]?.impossible?.();
const system = obstacle === undefined ? await openFaultSystem(t) : undefined;

for (const fault of versionFaults) {
  const title = `${fault.name}: under load no request is lost or fails`;
  t.test(title, { skip: obstacle ?? false }, async (t) => {
    if (system === undefined) return;
    const { problems, during } = await runFault(system, { ...fault, lastsMs: 500 });
    t.comment(during.join(' → '));
    t.strictSame(problems, []);
  });
}
