import t from 'tap';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

const application = await openLiveApplication(t);
const { account } = application;
const secp256k1 = { scheme: 'ECDSA', curve: 'secp256k1' };

function post(path: string, body: unknown, by = account) {
  return signedCall(application, by, 'POST', path, body);
}

t.test('keys are listed newest first, page by page, and each with what it says alone', async (t) => {
  const other = await application.newAccount();
  const made: string[] = [];
  for (let count = 0; count < 3; count += 1) made.unshift((await post('/keys', secp256k1, other)).body.id);
  const first = await call(application, other, 'GET', '/keys?limit=2&owner=us-whoever');
  t.same(
    first.body.items.map((key: { id: string }) => key.id),
    made.slice(0, 2),
  );
  const token = encodeURIComponent(first.body.nextPageToken);
  const { body: last } = await call(application, other, 'GET', `/keys?limit=2&paginationToken=${token}`);
  t.same(
    last.items.map((key: { id: string }) => key.id),
    made.slice(2),
  );
  t.notOk('nextPageToken' in last, 'the last page has no next');
  const { wallets, store, ...alone } = (await call(application, other, 'GET', `/keys/${made[2]}`)).body;
  t.same(last.items, [alone]);
  t.same(wallets, []);
  t.same(store, { id: 'main', kind: 'Hsm', keyId: made[2] });
  t.equal((await call(application, account, 'GET', `/keys/${made[0]}`)).status, 404, 'another organisation’s');
});

t.test('a key gets a name, loses it, and nobody else’s key does', async (t) => {
  const { body: key } = await post('/keys', secp256k1);
  const put = (body: unknown, by = account) => signedCall(application, by, 'PUT', `/keys/${key.id}`, body);
  t.same((await put({ name: 'é' })).body, { ...key, name: 'é' });
  t.same((await put({ name: null })).body, key);
  t.equal((await put({ name: 'x'.repeat(101) })).status, 400);
  t.equal((await put({ name: 'theirs' }, await application.newAccount())).status, 404);
  t.same((await call(application, account, 'GET', `/keys/${key.id}`)).body.name, undefined);
});

t.test('an archived key and its wallets sign nothing any more, but what they signed is still answered', async (t) => {
  const { body: key } = await post('/keys', secp256k1);
  const { body: wallet } = await post('/wallets', { network: 'Ethereum', signingKey: { id: key.id } });
  const sign = { kind: 'Hash', hash: 'ab'.repeat(32) };
  const before = await post(`/keys/${key.id}/signatures`, { ...sign, externalId: 'before' });
  t.equal(before.body.status, 'Signed');

  const archived = await signedCall(application, account, 'DELETE', `/keys/${key.id}`, {});
  t.match(archived, { status: 200, body: { ...key, status: 'Archived', dateDeleted: /Z$/ } });
  t.match((await call(application, account, 'GET', `/wallets/${wallet.id}`)).body, {
    status: 'Archived',
    dateDeleted: /Z$/,
  });
  for (const path of [`/keys/${key.id}/signatures`, `/wallets/${wallet.id}/signatures`]) {
    const { status, body } = await post(path, sign);
    t.equal(status, 400, path);
    t.match(body.message, /archived/, path);
  }
  const again = { network: 'Polygon', signingKey: { id: key.id } };
  t.match(await post('/wallets', again), { status: 400, body: { message: /archived/ } });
  const retried = await post(`/keys/${key.id}/signatures`, { ...sign, externalId: 'before' });
  t.same(retried.body, before.body);
});

t.test('a key’s signatures are listed, its wallets’ among them', async (t) => {
  const { body: key } = await post('/keys', secp256k1);
  const { body: wallet } = await post('/wallets', { network: 'Ethereum', signingKey: { id: key.id } });
  const body = { kind: 'Hash', hash: 'ab'.repeat(32) };
  const { body: plain } = await post(`/keys/${key.id}/signatures`, body);
  const { body: ofWallet } = await post(`/wallets/${wallet.id}/signatures`, body);
  const list = (path: string) => call(application, account, 'GET', path).then((answer) => answer.body);
  t.same(await list(`/keys/${key.id}/signatures`), { keyId: key.id, items: [ofWallet, plain] });
  t.same(await list(`/wallets/${wallet.id}/signatures`), { walletId: wallet.id, items: [ofWallet] });
  const page = await list(`/keys/${key.id}/signatures?limit=1`);
  t.same(page.items, [ofWallet]);
  const token = encodeURIComponent(page.nextPageToken);
  t.same((await list(`/keys/${key.id}/signatures?limit=1&paginationToken=${token}`)).items, [plain]);
  t.equal((await call(application, account, 'GET', `/wallets/${wallet.id}/signatures/${plain.id}`)).status, 404);
});

t.test('what an HSM key store cannot do is refused with a sentence', async (t) => {
  for (const path of [
    '/keys/import',
    '/keys/key-1/export',
    '/keys/key-1/derive',
    '/keys/key-1/delegate',
    '/wallets/wa-1/transfers',
  ]) {
    const { status, body } = await call(application, account, 'POST', path, '{}');
    t.equal(status, 400, path);
    t.match(body.message, /^Not supported by an HSM key store: /, path);
  }
});

t.test('key stores are listed, and there are no signers of key shares', async (t) => {
  const stores = await call(application, account, 'GET', '/key-stores');
  t.same(stores.body, { items: [{ id: 'main', kind: 'Hsm', name: 'Main', primary: true }] });
  t.same((await call(application, account, 'GET', '/signers')).body, { clusters: [] });
});
