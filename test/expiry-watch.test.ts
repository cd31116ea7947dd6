import type { X509Certificate } from 'node:crypto';
import t from 'tap';
import { createExpiring } from '../src/api/operations/expiring.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { expiringSoon, startExpiryWatch } from '../src/shared/operations/expiry-watch.ts';
import { openTestDatabases } from './support/database.ts';
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

t.test('the API knows which bearer token in use ends next, and which certificates nodes came with', async (t) => {
  const databases = await openTestDatabases(t);
  const quiet = createLog('silent', {});
  const pool = createPool(databases.api, { applicationName: 'test', max: 1, durability: 'durable' }, quiet);
  t.teardown(() => pool.end());
  const expiring = createExpiring(pool, () => ({}));
  t.equal(await expiring.nextToken(), null);
  await databases.asOwner("insert into organisation (id, name) values ('or-test', 'Test')");
  for (const [name, active] of [
    ['used', true],
    ['disabled', false],
  ] as const)
    await databases.asOwner(
      "insert into service_account (id, organisation, name, active) values ($1, 'or-test', $1, $2)",
      [name, active],
    );
  const ends = inDaysFromNow(20);
  for (const [id, account, active, at] of [
    ['gone', 'used', true, inDaysFromNow(-1)],
    ['revoked', 'used', false, inDaysFromNow(2)],
    ['of another', 'disabled', true, inDaysFromNow(3)],
    ['next', 'used', true, ends],
    ['later', 'used', true, inDaysFromNow(90)],
  ] as const)
    await databases.asOwner(
      `insert into access_token (id, service_account, token_sha256, active, expires_at)
       values ($1, $2, convert_to($1, 'UTF8'), $3, $4)`,
      [id, account, active, at],
    );
  t.equal(await expiring.nextToken(), ends);
  t.strictSame(await expiring.read(), [{ what: 'access token next of service account used', notAfter: ends }]);

  const seen = (days: number) => ({ validToDate: new Date(inDaysFromNow(days)) }) as X509Certificate;
  expiring.driverSeen('node-1', seen(3));
  expiring.driverSeen('node-1', seen(300));
  expiring.driverSeen('node-2', seen(-1));
  t.strictSame([...expiring.driverCertificates().keys()], ['node-1']);
  t.ok(Date.parse(expiring.driverCertificates().get('node-1') ?? '') > Date.now() + 299 * day);
});

function inDaysFromNow(days: number): string {
  return new Date(Date.now() + days * day).toISOString();
}
