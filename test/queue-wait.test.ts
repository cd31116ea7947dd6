import t from 'tap';
import { createQueueWaitWatch } from '../src/primary/operations/queue-wait.ts';
import type { SlotTotals } from '../src/primary/operations/totals.ts';

/** What `status` says of the queue: only the last minute counts, whatever was before. */
function totals(requests: number, sumSeconds: number): ReadonlyMap<string, SlotTotals> {
  const inQueue = { Sign: { buckets: [0, requests], sumSeconds } };
  return new Map([['hsm-1', { requests: {}, events: {}, inQueue, inDriver: {}, inHsm: {} }]]);
}

t.test('nothing was taken: nothing waited', async (t) => {
  const watch = createQueueWaitWatch();
  t.same(watch.now(0), { requests: 0, meanMs: 0 });
  watch.note(totals(0, 0), 1_000);
  t.same(watch.now(1_000), { requests: 0, meanMs: 0 });
});

t.test('the mean is over the last minute', async (t) => {
  const watch = createQueueWaitWatch();
  watch.note(totals(10, 1), 0);
  t.same(watch.now(0), { requests: 10, meanMs: 100 });
  for (let second = 1; second <= 30; second += 1) watch.note(totals(10 + second, 1 + second / 100), second * 1_000);
  t.same(watch.now(30_000), { requests: 40, meanMs: 32.5 });
  t.same(watch.now(75_000), { requests: 15, meanMs: 10 }, 'what was before is forgotten');
  t.same(watch.now(200_000), { requests: 0, meanMs: 0 });
});

t.test('many reports within a second are one reading, and memory does not grow with them', async (t) => {
  const watch = createQueueWaitWatch();
  for (let at = 0; at <= 300_000; at += 100) watch.note(totals(at, at / 100), at);
  const { requests, meanMs } = watch.now(300_000);
  t.ok(requests >= 59_000 && requests <= 62_000, String(requests));
  t.equal(meanMs, 10);
});
