import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';
import { until } from './support/until.ts';

/** Three API processes on one database; the only driver talks to the first. */
const application = await openLiveApplication(t, { processes: 3 });
const { account, driver, servers, pool } = application;
const process = (n: number) => ({ server: servers[n % servers.length] as (typeof servers)[number] });
const hash = { kind: 'Hash', hash: 'ab'.repeat(32) };

t.beforeEach(() => {
  driver.answers = true;
});

t.test('a call may begin on one process and go on at others', async (t) => {
  const { body: wallet } = await signedCall(process(1), account, 'POST', '/wallets', { network: 'Ethereum' });
  for (const n of [0, 1, 2]) t.same((await call(process(n), account, 'GET', `/wallets/${wallet.id}`)).body, wallet);

  // Each of the three requests of one signed call at another process.
  const path = `/wallets/${wallet.id}/signatures`;
  let at = 0;
  const wandering = {
    server: { inject: (options: unknown) => process(at++).server.inject(options as never) },
  } as never;
  const { body: signature } = await signedCall(wandering, account, 'POST', path, hash);
  t.equal(at, 3);
  t.equal(signature.status, 'Signed');
  const rs = Buffer.from(signature.signature.r.slice(2) + signature.signature.s.slice(2), 'hex');
  const publicKey = Buffer.from(wallet.signingKey.publicKey, 'hex');
  t.ok(secp256k1.verify(rs, Buffer.alloc(32, 0xab), publicKey, { prehash: false }));
});

t.test('the same request to all of them at once has one effect and one answer', async (t) => {
  const { body: key } = await signedCall(process(0), account, 'POST', '/keys', { scheme: 'ECDSA', curve: 'secp256k1' });
  const path = `/keys/${key.id}/signatures`;
  const body = { ...hash, externalId: 'everywhere' };
  const answers = await Promise.all(
    Array.from({ length: 9 }, (_, n) => signedCall(process(n), account, 'POST', path, body)),
  );
  for (const answer of answers) t.same(answer, { ...answers[0], headers: answer.headers });
  t.equal(answers[0]?.body.status, 'Signed');
  const { rows } = await pool.query("select 1 from request where external_id = 'everywhere'");
  t.equal(rows.length, 1);
});

t.test('a deactivated account is refused by all, at once', async (t) => {
  const other = await application.newAccount();
  const path = `/auth/service-accounts/${other.userId}/deactivate`;
  t.equal((await call(process(2), other, 'GET', '/keys')).status, 200);
  t.equal((await signedCall(process(1), other, 'PUT', path, {})).status, 200);
  for (const n of [0, 1, 2]) t.equal((await call(process(n), other, 'GET', '/keys')).status, 401);
});

t.test('a caller that went away finds its signature when it asks again, on any process', async (t) => {
  const { body: key } = await signedCall(process(0), account, 'POST', '/keys', { scheme: 'ECDSA', curve: 'secp256k1' });
  const path = `/keys/${key.id}/signatures`;
  const body = { ...hash, externalId: 'gone' };
  driver.answers = false;
  const first = signedCall(process(1), account, 'POST', path, body);
  await until('it is with the driver', () => driver.leased.some((one) => one.kind === 'Sign' && one.keyId === key.id));
  // The first caller never reads its answer; the second asks elsewhere while the work is still open.
  const second = signedCall(process(2), account, 'POST', path, body);
  driver.answers = true;
  const answer = await second;
  t.equal(answer.body.status, 'Signed');
  t.same((await first).body, answer.body);
});
