import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { apiConfiguration } from '../src/shared/configuration/api.ts';
import { slot } from '../src/shared/configuration/sections.ts';

/** docs/timeouts.md says what the code says: operators plan by it. */
const root = join(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/timeouts.md'), 'utf8');
const rows = [...page.matchAll(/^\| [^|]+ \| ([^|]+) ms \| ([^|]+) \| [^|]+ \|$/gm)].map(
  ([, value = '', where = '']) => ({
    values: value.split(', ').map(Number),
    where,
  }),
);

t.test('each constant has the value that the page says', async (t) => {
  const constants = rows.flatMap(({ values, where }) => {
    const [, file, name] = /^`(src\/[^`]+)` `(\w+)`$/.exec(where) ?? [];
    return file === undefined || name === undefined ? [] : [{ values, file, name }];
  });
  t.ok(constants.length > 20);
  for (const { values, file, name } of constants) {
    const source = readFileSync(join(root, file), 'utf8');
    const [, text = ''] = new RegExp(`\\b${name}(?: =|:) \\[?([\\d_, ]+)`).exec(source) ?? [];
    const stated = text
      .split(',')
      .filter((one) => one.trim() !== '')
      .map((one) => Number(one.replaceAll('_', '')));
    t.strictSame(stated.slice(0, values.length), values, `${file} ${name}`);
  }
});

t.test('each configuration key has the default that the page says', async (t) => {
  const keys = rows.filter(({ where }) => !where.includes('src/'));
  const defaults = new Map([
    ['`slots[].callDeadlineMs`', slot.shape.callDeadlineMs.parse(undefined)],
    ['`holdMs`', apiConfiguration.shape.holdMs.parse(undefined)],
    ['`signTtlMs`', apiConfiguration.shape.signTtlMs.parse(undefined)],
  ]);
  t.equal(keys.length, defaults.size);
  for (const { where, values } of keys) t.strictSame(values, [defaults.get(where)], where);
});

t.test('what a node held that is cut off goes to another one within three seconds', async (t) => {
  const msOf = (where: string): number => rows.find((row) => row.where === where)?.values[0] ?? Number.NaN;
  const absence = msOf('`src/api/queue/lease.ts` `presenceMs`');
  const look = msOf('`src/api/queue/upkeep.ts` `leasesMs`');
  const open = msOf('`src/worker/poller.ts` `renewalMs`');
  const [longestPause, toSign] = [1.2, 300];
  t.ok(absence + look * longestPause + open + toSign <= 3_000, `${absence} + ${longestPause} × ${look} + ${open} ms`);
});
