import t from 'tap';
import { createLog } from '../src/shared/log.ts';
import { expiringSoon, startExpiryWatch } from '../src/shared/operations/expiry-watch.ts';
import { until } from './support/until.ts';

const day = 86_400_000;
const now = Date.parse('2030-01-01T12:00:00Z');
const inDays = (days: number): string => new Date(now + days * day).toISOString();

t.test('what expires within a month is told, the nearest first, and what has expired too', async (t) => {
  const all = [
    { what: 'far', notAfter: inDays(31) },
    { what: 'near', notAfter: inDays(29) },
    { what: 'gone', notAfter: inDays(-2) },
    { what: 'next', notAfter: inDays(3) },
  ];
  t.strictSame(
    expiringSoon(all, now).map(({ what, days }) => [what, days]),
    [
      ['gone', -2],
      ['next', 3],
      ['near', 29],
    ],
  );
});

t.test('the last week is an error, the weeks before a warning', async (t) => {
  const lines: { level: string; what: string; msg: string }[] = [];
  const log = createLog('debug', {}, { write: (line) => void lines.push(JSON.parse(line)) });
  const from = (days: number): string => new Date(Date.now() + days * day + 60_000).toISOString();
  const watch = startExpiryWatch(
    async () => [
      { what: 'a', notAfter: from(20) },
      { what: 'b', notAfter: from(2) },
      { what: 'c', notAfter: from(-2) },
      { what: 'd', notAfter: from(60) },
    ],
    log,
  );
  t.teardown(() => watch.stop());
  await until('all are told', () => lines.length === 3);
  t.match(
    lines.toSorted((one, other) => (one.what < other.what ? -1 : 1)),
    [
      { what: 'a', level: 'warn', msg: 'expires soon', days: 20 },
      { what: 'b', level: 'error', msg: 'expires soon', days: 2 },
      { what: 'c', level: 'error', msg: 'expired' },
    ],
  );
});
