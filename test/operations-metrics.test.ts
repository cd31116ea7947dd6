import t from 'tap';
import { createTotals } from '../src/primary/operations/totals.ts';
import { latencyBuckets, type WorkerReport } from '../src/shared/worker-report.ts';

const base: WorkerReport = {
  state: 'ready',
  breaker: 'closed',
  requests: {},
  events: {},
  inQueue: {},
  inDriver: {},
  inHsm: {},
  threads: { total: 2, busy: 0 },
  held: 0,
  api: 'reached',
  database: 'answers',
  leasedOnce: true,
};
const histogram = (first: number, rest: number, sumSeconds: number) => ({
  buckets: [first, ...latencyBuckets.slice(1).map(() => 0), rest],
  sumSeconds,
});

t.test('totals grow by what is new in a report, and go on over the workers of a slot', async (t) => {
  const totals = createTotals();
  const report = (signed: number): WorkerReport => ({
    ...base,
    requests: { 'Sign signed': signed },
    events: { journal_rows: signed },
    inQueue: { Sign: histogram(signed, 0, signed / 4) },
    inDriver: { Sign: histogram(signed, 1, signed / 2) },
  });
  totals.take('a', 'first', report(3));
  totals.take('a', 'first', report(5));
  totals.take('a', 'first', report(5));
  totals.take('b', 'other', report(1));
  totals.take('a', 'second', report(2)); // the reports in between were lost with the first worker
  const a = totals.all().get('a');
  t.strictSame(a?.requests, { 'Sign signed': 7 });
  t.strictSame(a?.events, { journal_rows: 7 });
  t.strictSame(a?.inQueue, { Sign: histogram(7, 0, 1.75) });
  t.strictSame(a?.inDriver, { Sign: histogram(7, 2, 3.5) });
  t.strictSame(totals.all().get('b')?.requests, { 'Sign signed': 1 });
});

t.test('names that never end do not fill the memory', async (t) => {
  const totals = createTotals();
  for (let at = 0; at < 500; at++) {
    const name = `Sign error CODE_${at}`;
    totals.take('a', 'w', { ...base, requests: { [name]: 1 }, inHsm: { [name]: histogram(1, 0, 1) } });
  }
  t.equal(Object.keys(totals.all().get('a')?.requests ?? {}).length, 200);
  t.equal(Object.keys(totals.all().get('a')?.inHsm ?? {}).length, 200);
});
