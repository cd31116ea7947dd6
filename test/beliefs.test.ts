import t from 'tap';
import { call, signedCall, type TestAccount, type TestAnswer, userAction } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

/**
 * What a process remembers of accounts and keys only lets a request in. Each test warms that memory, changes the database
 * as another process or an operator would, and sends a request whose user action was made before.
 */
const application = await openLiveApplication(t, { processes: 2 });
const { servers, pool } = application;
const body = { kind: 'Hash', hash: 'ab'.repeat(32) };

interface Warm {
  readonly account: TestAccount;
  readonly keyId: string;
  /** The same request again, at the process that is warm, with the user action that was made for it before. */
  readonly sign: () => Promise<TestAnswer>;
}

async function warm(external: { readonly externalId?: string } = {}): Promise<Warm> {
  const account = await application.newAccount();
  const { body: key } = await signedCall(application, account, 'POST', '/keys', {
    scheme: 'ECDSA',
    curve: 'secp256k1',
  });
  const path = `/keys/${key.id}/signatures`;
  // Twice, so that the memory is used where it is filled.
  for (const _ of [1, 2]) t.match(await signedCall(application, account, 'POST', path, body), { status: 200 });
  const payload = JSON.stringify({ ...body, ...external });
  const token = await userAction(application, account, 'POST', path, payload);
  const sign = () => call(application, account, 'POST', path, payload, { 'x-dfns-useraction': token });
  return { account, keyId: key.id, sign };
}

const signatures = async (keyId: string): Promise<number> =>
  (await pool.query("select 1 from request where key_id = $1 and kind = 'Sign'", [keyId])).rowCount ?? 0;

t.test('a token that was deactivated signs nothing more', async (t) => {
  const { account, keyId, sign } = await warm();
  await pool.query(
    'update access_token set active = false where service_account = (select service_account from credential where id = $1)',
    [account.credentialId],
  );
  t.match(await sign(), { status: 401 });
  t.equal(await signatures(keyId), 2);
});

t.test('an account that was deactivated signs nothing more', async (t) => {
  const { account, keyId, sign } = await warm();
  await pool.query(
    'update service_account set active = false where id = (select service_account from credential where id = $1)',
    [account.credentialId],
  );
  t.match(await sign(), { status: 401 });
  t.equal(await signatures(keyId), 2);
});

t.test('a token that has expired signs nothing more', async (t) => {
  const { account, keyId, sign } = await warm();
  await application.ownerQuery(
    'update access_token set expires_at = now() where service_account = (select service_account from credential where id = $1)',
    [account.credentialId],
  );
  t.match(await sign(), { status: 401 });
  t.equal(await signatures(keyId), 2);
});

t.test('a permission that was taken away signs nothing more, and one that was given signs at once', async (t) => {
  const { account, keyId, sign } = await warm();
  const of = '(select service_account from credential where id = $1)';
  await pool.query(`delete from permission_assignment where service_account = ${of}`, [account.credentialId]);
  t.match(await sign(), { status: 403 });
  t.equal(await signatures(keyId), 2);
  await pool.query(
    `insert into permission_assignment (id, service_account, permission) values ($2, ${of}, 'pm-built-inset-signer0000000000')`,
    [account.credentialId, `as-${account.credentialId}`],
  );
  t.match(await sign(), { status: 200 });
});

t.test('an archived key signs nothing more', async (t) => {
  const { keyId, sign } = await warm();
  await pool.query("update key set status = 'Archived' where id = $1", [keyId]);
  t.match(await sign(), { status: 400, body: { message: /archived/ } });
  t.equal(await signatures(keyId), 2);
});

t.test('a key row that was changed behind the program is found at the next request', async (t) => {
  const { keyId, sign } = await warm();
  await application.ownerQuery("update key set public_key = '02' || repeat('ab', 32) where id = $1", [keyId]);
  t.match(await sign(), { status: 500 });
  t.equal(await signatures(keyId), 2);
});

t.test('what was signed before under an externalId is not told to a revoked token', async (t) => {
  const { account, sign } = await warm({ externalId: 'before' });
  t.match(await sign(), { status: 200 });
  t.match(await sign(), { status: 200 }, 'asked again, it is told');
  await pool.query(
    'update access_token set active = false where service_account = (select service_account from credential where id = $1)',
    [account.credentialId],
  );
  t.match(await sign(), { status: 401 });
});

t.test('a request at another process takes effect there too', async (t) => {
  const { account, keyId } = await warm();
  const other = { server: servers[1] as (typeof servers)[number] };
  t.match(await signedCall(other, account, 'POST', `/keys/${keyId}/signatures`, body), { status: 200 });
  await pool.query("update key set status = 'Archived' where id = $1", [keyId]);
  t.match(await signedCall(other, account, 'POST', `/keys/${keyId}/signatures`, body), { status: 400 });
});
