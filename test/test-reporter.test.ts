import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import PlainReporter from './support/reporter.ts';

const run = `TAP version 14
# Subtest: test/one.test.ts
    # Subtest: a thing holds
        ok 1 - should be equal
        not ok 2 - should be equivalent
          ---
          diff: |
            +actual – “wrong”
          at:
            fileName: test/one.test.ts
          ...
        
        1..2
    not ok 1 - a thing holds # time=12.5ms
      ---
      source: its own line
      ...
    
    1..1
not ok 1 - test/one.test.ts # time=300ms
  ---
  exitCode: 1
  signal: null
  ...

# Subtest: test/two.test.ts
    ok 1 - fine
    1..1
ok 2 - test/two.test.ts # time=3ms

1..2
# { total: 3, pass: 2, fail: 1, skip: 0 }
`;

const again = `What failed:
test/one.test.ts > a thing holds > not ok 2 - should be equivalent
  diff: |
    +actual – “wrong”
  at:
    fileName: test/one.test.ts
test/one.test.ts > not ok 1 - a thing holds # time=12.5ms
not ok 1 - test/one.test.ts # time=300ms
  exitCode: 1
`;

/** What the reporter makes of TAP that arrives in pieces of so many bytes. */
const reported = (tap: string, bytes = 65536) => {
  const whole = Buffer.from(tap);
  const pieces = Array.from({ length: Math.ceil(whole.length / bytes) }, (_, i) =>
    whole.subarray(i * bytes, (i + 1) * bytes),
  );
  return text(Readable.from(pieces, { objectMode: false }).pipe(new PlainReporter()));
};

t.test('what failed is said again at the end, with its place and its difference, before the totals', async (t) => {
  t.equal(await reported(run), `${run}\n${again}\n2 passed, 1 failed, 0 skipped\n`);
});

t.test('it is the same however the output is cut into pieces', async (t) => {
  for (const bytes of [1, 7]) t.equal(await reported(run, bytes), await reported(run));
});

t.test('a run in which all passed ends with its totals only', async (t) => {
  const good = '# { total: 2, pass: 1, fail: 0, skip: 1 }\n';
  t.equal(await reported(good), `${good}\n1 passed, 0 failed, 1 skipped\n`);
});

t.test('a run that was cut off never reads as a good one', async (t) => {
  t.match(await reported('TAP version 14\n# Subtest: test/one.test.ts\n'), /\n0 passed, 1 failed, 0 skipped\n$/);
});

t.test('of very many failures the first are said', async (t) => {
  const many = Array.from({ length: 30 }, (_, i) => `not ok ${i} - number ${i}\n`).join('');
  t.match(await reported(many), /number 19\nand 10 more\n/);
});
