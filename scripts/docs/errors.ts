import { catalogue } from '../../src/shared/error-catalogue.ts';
import { catalogueEntry, type ErrorCode } from '../../src/shared/errors.ts';
import { exitCodes } from '../../src/shared/exit-codes.ts';
import { ckrClasses, ckrConsequences, ckrRemark, ckrTable } from '../../src/worker/hsm/ckr.ts';

/** docs/errors.md, from the catalogue, the exit codes and the table of return values. */
export function errorsPage(): string {
  const exits = Object.entries(exitCodes).map(
    ([name, { code, restart, meaning }]) => `| ${code} | ${name} | ${meaning} | ${restart} |`,
  );
  const errors = (Object.keys(catalogue) as ErrorCode[]).map((code) => {
    const { what, remedy, exit, status } = catalogueEntry(code);
    return `| \`${code}\` | ${status ?? ''} | ${exit === undefined ? '' : exitCodes[exit].code} | ${what} | ${remedy} |`;
  });
  const classes = ckrClasses.map((name) => `| ${name} | ${ckrConsequences[name]} |`);
  const returnValues = [...ckrTable].map(([code, entry]) => {
    const number = `0x${code.toString(16).toUpperCase().padStart(3, '0')}`;
    return `| \`${entry.name}\` | ${number} | ${entry.class} | ${ckrRemark(entry)} |`;
  });
  return `# Errors and exit codes

Printed from \`src/shared/error-catalogue.ts\`, \`src/shared/exit-codes.ts\` and \`src/worker/hsm/ckr.ts\` by \`node scripts/docs/print.ts\`;
do not edit. Codes are stable and never used again for something else.

## Exit codes

The last column is what a primary does with a worker that ended so. After 10 and 11 a slot that was ready since its node started is
tried again every ten seconds: half of a renewal may have been on disk.

| code | name | meaning | worker started again |
| --- | --- | --- | --- |
${exits.join('\n')}

## Errors

A message reads “what happened: the thing it happened to. What to do.”

| code | HTTP status | exit code | what happened | what to do |
| --- | --- | --- | --- | --- |
${errors.join('\n')}

## Return values of PKCS#11

Every code of PKCS#11 3.1 has one class, and the class decides what happens. A code that is not listed here (a vendor’s, or
one of a later standard) counts as class device. \`CKR_ARGUMENTS_BAD\` from \`C_OpenSession\` counts as back-pressure: some
network HSMs answer it when they have no session left.

| class | what happens |
| --- | --- |
${classes.join('\n')}

| return value | number | class | besides |
| --- | --- | --- | --- |
${returnValues.join('\n')}
`;
}
