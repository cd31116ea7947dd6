import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { configurationPage } from '../scripts/docs/configuration.ts';
import { errorsPage } from '../scripts/docs/errors.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';

const page = (name: string): string => readFileSync(join(import.meta.dirname, '../docs', name), 'utf8');

t.test('the page of errors says what the catalogue says', async (t) => {
  t.equal(page('errors.md'), errorsPage(), 'print it again: node scripts/docs/print.ts');
});

t.test('no exit code stands for two things', async (t) => {
  const codes = Object.values(exitCodes).map(({ code }) => code);
  t.equal(new Set(codes).size, codes.length);
});

t.test('the page of configuration keys says what the schemas say, and leaves no key undescribed', async (t) => {
  t.equal(page('configuration.md'), configurationPage(), 'print it again: node scripts/docs/print.ts');
  t.notMatch(configurationPage(), /\| {2}\|$/m);
});
