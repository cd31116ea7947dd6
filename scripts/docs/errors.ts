import { catalogue, catalogueEntry, type ErrorCode } from '../../src/shared/errors.ts';
import { exitCodes } from '../../src/shared/exit-codes.ts';

/** docs/errors.md, from the catalogue. */
export function errorsPage(): string {
  const exits = Object.entries(exitCodes).map(
    ([name, { code, restart, meaning }]) => `| ${code} | ${name} | ${meaning} | ${restart} |`,
  );
  const errors = (Object.keys(catalogue) as ErrorCode[]).map((code) => {
    const { what, remedy, exit, status } = catalogueEntry(code);
    return `| \`${code}\` | ${status ?? ''} | ${exit === undefined ? '' : exitCodes[exit].code} | ${what} | ${remedy} |`;
  });
  return `# Errors and exit codes

Printed from \`src/shared/errors.ts\` and \`src/shared/exit-codes.ts\` by \`node scripts/docs/print.ts\`; do not edit. Codes are
stable and never used again for something else.

## Exit codes

The last column is what a primary does with a worker that ended so.

| code | name | meaning | worker started again |
| --- | --- | --- | --- |
${exits.join('\n')}

## Errors

A message reads “what happened: the thing it happened to. What to do.”

| code | HTTP status | exit code | what happened | what to do |
| --- | --- | --- | --- | --- |
${errors.join('\n')}
`;
}
