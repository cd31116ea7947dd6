import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import { loadConfiguration } from '../src/shared/configuration/load.ts';

/** What an operator copies must load as it is. */
const folder = join(import.meta.dirname, '../docs/hsm');
const files = readdirSync(folder);
const samples = files.filter((name) => name.endsWith('.yaml'));

t.test('every vendor’s sample loads under the strict schema, and says what it is', async (t) => {
  t.equal(samples.length, 7);
  for (const name of samples) {
    const { slots } = loadConfiguration(join(folder, name), driverConfiguration);
    t.equal(slots.length, 1, name);
    t.match(slots[0]?.module, /^\/.*\.so$/, name);
    const numbers = (slots[0]?.wrap ?? []).map(({ mechanism }) => mechanism);
    t.ok(
      numbers.every((one) => one !== undefined),
      `${name}: a sample gives numbers`,
    );
  }
});

t.test('every sample has its page, which says whether it was tested and is on the list', async (t) => {
  const list = readFileSync(join(folder, 'README.md'), 'utf8');
  for (const vendor of samples.map((name) => name.replace('.yaml', ''))) {
    const page = readFileSync(join(folder, `${vendor}.md`), 'utf8');
    t.match(page, vendor === 'softhsm' ? /\*\*Tested here\*\*/ : /not tested here/i, vendor);
    t.match(page, `(${vendor}.yaml)`);
    t.match(list, `(${vendor}.md)`);
  }
});
