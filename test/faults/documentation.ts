import { cpus, loadavg } from 'node:os';
import { type Repeated, repeatsHead, repeatsRow } from './repeats.ts';
import type { FaultResult } from './run-fault.ts';
import { tableMarkdown } from './table.ts';

/** docs/failover.md. Pure. @param before the page as it was: what was repeated stays. */
export function documentation(results: readonly FaultResult[], before: string): string {
  const repeats = repeatsSection(before);
  return `# What happens when something fails

Printed by \`npm run test:faults -- --write\`; do not edit. Two nodes with an HSM each, run from the build, sign for four applications without a
pause, a fault is put on node 1 (where the row does not say otherwise), lasts for some seconds, and ends.
**No request is lost or fails**, but for the two rows below; no id gets two signatures, every signature verifies with
@noble/curves, and node 2 carries on. Where the API itself or its database goes away, a call may be refused or cut off, and
applications try once more with the same \`externalId\`.

- *slowest request*: from a client’s first call to its answer, the worst of the row, the fault included.
- *recovered after*: from the end of the fault until node 1’s slot was ready again by itself; where it had latched, from
  the operator’s repair.
- *next worker polls after*: from the moment in which the worker was killed until the one in its place asks for work.
- *signed*: the two rows in which requests fail. A blob that no HSM opens: requests for that key fail as KEY_UNUSABLE,
  once a second HSM has said the same; no other key suffers. Both HSMs gone: requests expire or are refused with 503;
  nothing of them is stored or signed later.
- *states*: of node 1’s slot in \`/status\` of its operations server, in the order in which they were seen. Workers report once a second, so a
  loss that is shorter, of the API or the database, may not show, or only afterwards: its time to recover reads 0.0.

Measured on ${cpus().length} processors (${cpus()[0]?.model.trim() ?? 'unknown'}) that also run both databases, the API and the applications; load
average of the last quarter of an hour, other work on the machine included: ${loadavg()[2]?.toFixed(0)}.

${tableMarkdown(results)}

Each row also fails when all processes together log more than 500 lines, log in to the HSMs more than 60 times, make more
PKCS#11 calls than the requests explain, or when the API or a primary that lived through it has grown by 150 MB or used
more than a third of a processor.

${repeats === '' ? '' : `${repeats}\n`}How to see it by hand: [fault-module.md](fault-module.md).
`;
}

const title = '## Twenty times in a row';
const closing = '\nHow to see it by hand';
const emptySection = `${title}

\`npm run test:faults -- --repeat 20 --only TEXT --write\`: of each time the slowest request, and how
long the worker that follows a killed one took to poll. A time begins when both slots have worked steadily for five seconds, so
that no fault is measured with the back-off of the one before.

${repeatsHead}
`;

/** The section about repeats of a page; nothing where it has none. */
function repeatsSection(page: string): string {
  const from = page.indexOf(title);
  return from < 0 ? '' : `${page.slice(from, page.indexOf(closing, from)).trimEnd()}\n`;
}

/** The page with these rows in place of older ones of the same faults. Pure. */
export function withRepeats(page: string, list: readonly Repeated[]): string {
  const before = repeatsSection(page);
  const rows = before.split('\n').filter((line) => line.startsWith('| ') && !repeatsHead.includes(line));
  const kept = rows.filter((line) => !list.some(({ name }) => line.startsWith(`| ${name} |`)));
  const after = `${[emptySection.trimEnd(), ...kept, ...list.map(repeatsRow)].join('\n')}\n`;
  return before === '' ? page.replace(closing, () => `\n${after}${closing}`) : page.replace(before, () => after);
}
