import t from 'tap';
import { howFar } from '../src/cli/node/job-end.ts';
import { barText, lineText, startProgress } from '../src/cli/progress.ts';

const half = { what: 'checking keys', done: 2_000, total: 4_000, elapsedMs: 5_000 };

t.test('a line says how far, how fast and how long still', async (t) => {
  t.equal(lineText(half), 'checking keys: 2,000 of 4,000 (50 %), 400/s, 5 s left');
  t.equal(lineText({ ...half, done: 4_000 }), 'checking keys: 4,000 of 4,000 (100 %), 800/s');
  t.equal(lineText({ ...half, total: undefined }), 'checking keys: 2,000, 400/s');
  t.equal(lineText({ ...half, done: 0 }), 'checking keys: 0 of 4,000 (0 %)');
  t.equal(lineText({ ...half, done: 0, total: 0 }), 'checking keys: 0 of 0 (100 %)');
  t.match(lineText({ ...half, total: 4_000_000 }), /2 h 46 min left$/);
});

t.test('a bar is never wider than the terminal', async (t) => {
  t.equal(barText(half, 100), '[###############...............] checking keys: 2,000 of 4,000 (50 %), 400/s, 5 s left');
  for (let columns = 20; columns < 120; columns += 1) t.ok(barText(half, columns).length < columns);
});

t.test('a terminal gets one line that is redrawn, anything else gets lines', async (t) => {
  for (const isTTY of [true, false]) {
    let written = '';
    const progress = startProgress('copying', 3, {
      isTTY,
      columns: 60,
      write: (text) => {
        written += text;
      },
    });
    progress.at(0);
    for (const done of [1, 2, 3]) progress.at(done);
    progress.end();
    t.match(written, /copying: 3 of 3 \(100 %\)[^\n]*\n$/);
    t.equal(written.includes('\r'), isTTY);
    t.equal(written.split('\n').length, isTTY ? 2 : 3, 'few lines, whatever the pace of the work');
  }
});

t.test('how far a job is, is read from what it says while it runs', async (t) => {
  t.same(howFar({ moved: 30, remaining: 70, keysPerSecond: 5 }), { done: 30, total: 100 });
  t.same(howFar({ checked: 5, keys: 20, holds: 5 }), { done: 5, total: 20 });
  t.same(howFar({ removed: 2_000, keptDays: 400 }), { done: 2_000 });
  t.same(howFar({ forgotten: 0 }), undefined);
});
