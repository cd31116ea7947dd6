import { createHash, createPublicKey, verify } from 'node:crypto';
import t from 'tap';
import { call, signedCall, userAction } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

const application = await openLiveApplication(t);
const { account, pool } = application;

interface Row {
  readonly user_action: string;
  readonly service_account: string;
  readonly effect: string;
  readonly authorisation: { method: string; path: string; payload: string };
}

async function log(): Promise<Row[]> {
  const { rows } = await pool.query<Row>(
    'select user_action, service_account, effect, authorisation from audit_log where organisation = $1 order by created_at',
    [account.orgId],
  );
  return rows;
}

t.test('every call that changes something leaves a row with what the credential signed', async (t) => {
  const post = (path: string, body: unknown) => signedCall(application, account, 'POST', path, body);
  const { body: key } = await post('/keys', { scheme: 'ECDSA', curve: 'secp256k1' });
  const { body: wallet } = await post('/wallets', { network: 'Ethereum', signingKey: { id: key.id } });
  const { body: made } = await post('/wallets', { network: 'Ethereum' });
  const { body: signature } = await post(`/keys/${key.id}/signatures`, { kind: 'Hash', hash: 'ab'.repeat(32) });
  await signedCall(application, account, 'PUT', `/keys/${key.id}`, { name: 'x' });
  await signedCall(application, account, 'DELETE', `/keys/${key.id}`, {});
  const rows = await log();
  t.same(
    rows.map((row) => [row.authorisation.method, row.authorisation.path, row.effect]),
    [
      ['POST', '/keys', key.id],
      ['POST', '/wallets', wallet.id],
      ['POST', '/wallets', made.id],
      ['POST', `/keys/${key.id}/signatures`, signature.id],
      ['PUT', `/keys/${key.id}`, key.id],
      ['DELETE', `/keys/${key.id}`, key.id],
    ],
  );
  t.ok(rows.every((row) => row.service_account === account.userId));

  for (const row of rows) {
    const { status, body } = await call(application, account, 'GET', `/auth/action/logs/${row.user_action}`);
    t.equal(status, 200);
    t.match(body, { action: `${row.authorisation.method} ${row.authorisation.path}`, effect: row.effect });
    const { publicKey, assertion } = body.firstFactorCredential;
    const clientData = Buffer.from(assertion.clientData, 'base64url');
    const proof = Buffer.from(assertion.signature, 'base64url');
    t.ok(verify(null, clientData, createPublicKey(publicKey), proof), 'anybody can check the credential’s signature');
    const { challenge } = JSON.parse(clientData.toString());
    t.equal(Buffer.from(challenge, 'base64url').length, 56, 'which holds the hash of the request');
  }
  const other = await application.newAccount();
  t.equal((await call(application, other, 'GET', `/auth/action/logs/${rows[0]?.user_action}`)).status, 404);
});

t.test('one user action changes one thing once, also when it is sent twice at the same time', async (t) => {
  const payload = JSON.stringify({ name: 'Twice', operations: ['Keys:Read'] });
  const token = await userAction(application, account, 'POST', '/permissions', payload);
  const send = () => call(application, account, 'POST', '/permissions', payload, { 'x-dfns-useraction': token });
  const answers = await Promise.all([send(), send(), send()]);
  t.same(answers.map((answer) => answer.status).sort(), [200, 400, 400]);
  const refused = answers.find((answer) => answer.status === 400);
  t.equal(refused?.body.message, 'user action has already been used');
  const { rows } = await pool.query("select 1 from permission where name = 'Twice'");
  t.equal(rows.length, 1);
});

t.test('a change that fails leaves no row and does not use up the user action', async (t) => {
  const before = (await log()).length;
  const payload = '{"name":"x"}';
  const token = await userAction(application, account, 'PUT', '/keys/key-nowhere', payload);
  const send = () => call(application, account, 'PUT', '/keys/key-nowhere', payload, { 'x-dfns-useraction': token });
  t.equal((await send()).status, 404);
  t.equal((await send()).status, 404);
  t.equal((await log()).length, before);
});

t.test('the runtime role can neither change nor delete what was recorded', async (t) => {
  for (const statement of [
    "update audit_event set effect = 'x'",
    'delete from audit_event',
    "update request set authorisation = '{}'",
    "update request set body = '{}'",
    `update request set fingerprint = '${createHash('sha256').digest('hex')}'`,
    "update request set service_account = 'x'",
    'delete from request',
    "update key set public_key = 'x'",
    "update wallet set key_id = 'x'",
    "update wallet set network = 'Solana'",
  ])
    await t.rejects(pool.query(statement), { code: '42501' }, statement);
});
