import { cpus } from 'node:os';
import type { FaultResult } from './run-fault.ts';
import { tableMarkdown } from './table.ts';

/** docs/failover.md. Pure. */
export function documentation(results: readonly FaultResult[]): string {
  return `# What happens when something fails

Printed by \`npm run test:faults -- --write\`; do not edit. Two nodes with an HSM each sign for four applications without a
pause, a fault is put on node 1 (where the row does not say otherwise), lasts for some seconds, and ends. In every row
**no request is lost or fails**, no id gets two signatures, every signature verifies with @noble/curves, and node 2
carries on. Where the API itself or its database goes away, applications try once more with the same \`externalId\`.

- *slowest request*: from a client’s first call to its answer, the worst of the row, the fault included.
- *recovered after*: from the end of the fault until node 1’s slot was ready again by itself; where it had latched, from
  the operator’s repair.
- *states*: of node 1’s slot in \`/status\` of its operations server, in the order in which they were seen.

Measured on ${cpus().length} processors (${cpus()[0]?.model.trim() ?? 'unknown'}) that also run both databases, the API and the applications.

${tableMarkdown(results)}

How to see it by hand: [fault-module.md](fault-module.md).
`;
}
