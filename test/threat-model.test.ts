import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

/** docs/threat-model.md names a test for each thing that an attacker cannot do. */
const repository = resolve(import.meta.dirname, '..');
const page = readFileSync(join(repository, 'docs/threat-model.md'), 'utf8');
const attackers = page.split(/^## /m).slice(1);

t.test('every attacker of the issue has a section, with what they cannot do', async (t) => {
  const heads = attackers.map((section) => section.split('\n')[0]);
  for (const attacker of [
    'Root in the signing API',
    'A writer in the API’s database',
    'A writer in the driver’s database',
    'Who has stolen a driver’s certificate',
    'Root on a driver node',
    'Who knows a PIN',
    'One operator',
  ])
    t.ok(heads.includes(attacker), attacker);
  for (const section of attackers) t.match(section, /\| cannot/, section.split('\n')[0] ?? '');
});

t.test('of freezes it says who can end one and who cannot, in each section whose attacker might', async (t) => {
  for (const attacker of ['Root in the signing API', 'A writer in the driver’s database', 'One operator'])
    t.match(
      attackers.find((section) => section.startsWith(attacker)),
      /^\| .*(thaw|end a freeze)/m,
      attacker,
    );
});

t.test('every row names tests, and the tests are there', async (t) => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (cannot|---)/.test(line));
  t.ok(rows.length >= 30);
  for (const row of rows) {
    const tests = row.split('|')[3]?.match(/test\/[a-z0-9-]+\.test\.ts/g) ?? [];
    t.ok(tests.length > 0, row);
    for (const test of tests) t.ok(existsSync(join(repository, test)), `${test}: ${row}`);
  }
});
