import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { publicKeyToAddress } from 'viem/utils';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';
import { until } from './support/until.ts';

const application = await openLiveApplication(t);
const { account, driver } = application;

t.beforeEach(() => {
  driver.answers = true;
  driver.report = undefined;
});

function post(path: string, body: unknown, by = account, to = application) {
  return signedCall(to, by, 'POST', path, body);
}

async function wallets({ pool } = application): Promise<number> {
  const { rows } = await pool.query<{ count: number }>('select count(*)::int as count from wallet');
  return rows[0]?.count ?? 0;
}

t.test('a wallet for a new key is answered with the address of its attested public key', async (t) => {
  const body = { network: 'EthereumSepolia', name: 'é', externalId: 'ext-1', tags: ['a', 'b:c', 'a'] };
  const { status, body: wallet } = await post('/wallets', body);
  t.equal(status, 200, JSON.stringify(wallet));
  t.match(wallet, {
    id: /^wa-[a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{16}$/,
    network: 'EthereumSepolia',
    signingKey: { id: /^key-/, scheme: 'ECDSA', curve: 'secp256k1', publicKey: /^0[23][0-9a-f]{64}$/ },
    status: 'Active',
    custodial: true,
    name: 'é',
    externalId: 'ext-1',
    tags: ['a', 'b:c'],
  });
  const point = secp256k1.Point.fromHex(wallet.signingKey.publicKey).toHex(false);
  t.equal(wallet.address, publicKeyToAddress(`0x${point}`).toLowerCase());
  t.same((await call(application, account, 'GET', `/wallets/${wallet.id}`)).body, wallet);
  const key = await call(application, account, 'GET', `/keys/${wallet.signingKey.id}`);
  t.match(key.body, {
    wallets: [{ id: wallet.id, network: 'EthereumSepolia' }],
    store: { id: 'main', kind: 'Hsm', keyId: wallet.signingKey.id },
  });
});

t.test('networks choose the key, and pseudo networks have no address', async (t) => {
  for (const [network, curve, address] of [
    ['Solana', 'ed25519', /^[1-9A-HJ-NP-Za-km-z]{32,44}$/],
    ['Bitcoin', 'secp256k1', /^bc1q/],
    ['KeyECDSA', 'secp256k1', undefined],
    ['KeyEdDSA', 'ed25519', undefined],
  ] as const) {
    const { status, body } = await post('/wallets', { network });
    t.equal(status, 200, network);
    t.match(body.signingKey, { curve });
    if (address === undefined) t.notOk('address' in body, network);
    else t.match(body.address, address, network);
  }
});

t.test('an existing key gets one wallet per network, with the same address on every EVM chain', async (t) => {
  const { body: first } = await post('/wallets', { network: 'Ethereum' });
  const signingKey = { id: first.signingKey.id };
  const { status, body: second } = await post('/wallets', { network: 'Polygon', signingKey });
  t.equal(status, 200);
  t.equal(second.address, first.address);
  t.same(second.signingKey, first.signingKey);
  const again = await post('/wallets', { network: 'Polygon', signingKey });
  t.equal(again.status, 409);
  t.equal(again.body.error.details.code, 'WALLET_EXISTS');
  t.equal((await post('/wallets', { network: 'Solana', signingKey })).status, 400, 'another curve');
  t.equal((await post('/wallets', { network: 'Base', signingKey: { ...signingKey, curve: 'ed25519' } })).status, 400);
  const stranger = await application.newAccount();
  t.equal((await post('/wallets', { network: 'Base', signingKey }, stranger)).status, 404, 'another organisation');
});

t.test('what no HSM key store can make is refused with a sentence, and nothing is stored', async (t) => {
  const before = await wallets();
  for (const body of [
    { network: 'Starknet' },
    { network: 'KeyECDSAStark' },
    { network: 'Bitcoin', signingKey: { scheme: 'Schnorr' } },
    { network: 'Ethereum', delegateTo: 'us-1' },
    { network: 'Ethereum', signingKey: { deriveFrom: { keyId: 'key-1' } } },
  ]) {
    const { status, body: answer } = await post('/wallets', body);
    t.equal(status, 400, JSON.stringify(body));
    t.match(answer.message, /^Not supported by an HSM key store: /, JSON.stringify(body));
  }
  t.equal((await post('/wallets', { network: 'Nowhere' })).status, 400);
  t.equal(await wallets(), before);
});

t.test('a wallet signs as its network says, and the answer names the wallet', async (t) => {
  const { body: wallet } = await post('/wallets', { network: 'EthereumSepolia' });
  const path = `/wallets/${wallet.id}/signatures`;
  const { status, body: signature } = await post(path, { kind: 'Message', message: '0x68656c6c6f' });
  t.equal(status, 200);
  t.match(signature, {
    id: /^sig-/,
    keyId: wallet.signingKey.id,
    walletId: wallet.id,
    network: 'EthereumSepolia',
    status: 'Signed',
    requestBody: { kind: 'Message', message: '0x68656c6c6f' },
    requester: { userId: account.userId, tokenId: account.tokenId },
    signature: { r: /^0x[0-9a-f]{64}$/, s: /^0x[0-9a-f]{64}$/, encoded: /^0x[0-9a-f]{130}$/ },
  });
  t.same((await call(application, account, 'GET', `${path}/${signature.id}`)).body, signature);
  const ofKey = `/keys/${wallet.signingKey.id}/signatures`;
  t.same((await call(application, account, 'GET', `${ofKey}/${signature.id}`)).body, signature);
  const other = await post(path, { kind: 'Hash', hash: 'ab'.repeat(32), network: 'Polygon' });
  t.match(other, { status: 400, body: { message: /the wallet’s network is EthereumSepolia/ } });
});

t.test('a wallet of a pseudo network signs hashes, and messages with EdDSA', async (t) => {
  const { body: ecdsa } = await post('/wallets', { network: 'KeyECDSA' });
  const hash = await post(`/wallets/${ecdsa.id}/signatures`, { kind: 'Hash', hash: 'ab'.repeat(32) });
  t.match(hash.body, { status: 'Signed', network: 'KeyECDSA' });
  t.notOk('encoded' in hash.body.signature);
  t.equal((await post(`/wallets/${ecdsa.id}/signatures`, { kind: 'Message', message: '0x00' })).status, 400);
  const { body: eddsa } = await post('/wallets', { network: 'KeyEdDSA' });
  const message = await post(`/wallets/${eddsa.id}/signatures`, { kind: 'Message', message: '0x00' });
  t.match(message.body, { status: 'Signed', network: 'KeyEdDSA' });
});

t.test('the same externalId gives the same signature, and on another wallet a conflict', async (t) => {
  const { body: one } = await post('/wallets', { network: 'EthereumSepolia' });
  const { body: other } = await post('/wallets', { network: 'EthereumSepolia' });
  const body = { kind: 'Hash', hash: 'ab'.repeat(32), externalId: 'once' };
  const first = await post(`/wallets/${one.id}/signatures`, body);
  const again = await post(`/wallets/${one.id}/signatures`, body);
  t.same(again.body, first.body);
  const conflict = await post(`/wallets/${other.id}/signatures`, body);
  t.match(conflict, {
    status: 409,
    body: { error: { details: { duplicate: { id: first.body.id, externalId: 'once' } } } },
  });
});

t.test('a key that is not made leaves no wallet', async (t) => {
  const before = await wallets();
  driver.report = () => ({ kind: 'Error', code: 'CURVE_NOT_SUPPORTED', message: 'no', retryable: false });
  t.equal((await post('/wallets', { network: 'Ethereum' })).status, 500);
  t.equal(await wallets(), before);
});

t.test('a key that is made late has its wallet', async (t) => {
  const hasty = await openLiveApplication(t, { holdMs: 3_000 });
  hasty.driver.answers = false;
  const late = await post('/wallets', { network: 'Ethereum', name: 'late' }, hasty.account, hasty);
  t.equal(late.status, 504, 'still being made');
  t.equal(await wallets(hasty), 0);
  hasty.driver.answers = true;
  const found = await until('the wallet is there', async () => {
    const { body } = await call(hasty, hasty.account, 'GET', '/wallets?limit=1');
    return body.items[0]?.name === 'late' && body.items[0];
  });
  t.match(late.body.message, found.signingKey.id);
  t.equal(await wallets(hasty), 1);
});

t.test('name, externalId and tags can be changed', async (t) => {
  const { body: wallet } = await post('/wallets', { network: 'Ethereum', name: 'before', tags: ['one'] });
  const put = (path: string, body: unknown) =>
    signedCall(application, account, 'PUT', `/wallets/${wallet.id}${path}`, body);
  t.match((await put('', { name: null, externalId: 'x' })).body, { id: wallet.id, externalId: 'x' });
  t.same(await put('/tags', { tags: ['two', 'one'] }).then(({ body }) => body), {});
  const removed = await signedCall(application, account, 'DELETE', `/wallets/${wallet.id}/tags`, { tags: ['one'] });
  t.same(removed.body, {});
  const { body: after } = await call(application, account, 'GET', `/wallets/${wallet.id}`);
  const { name: _, ...nameless } = wallet;
  t.same(after, { ...nameless, externalId: 'x', tags: ['two'] });
  const many = Array.from({ length: 10 }, (_, at) => `t${at}`);
  t.equal((await put('/tags', { tags: many })).status, 400, 'at most 10');
});

t.test('lists are paged, newest first, and an organisation sees its own only', async (t) => {
  const other = await application.newAccount();
  const made: string[] = [];
  for (let count = 0; count < 5; count += 1)
    made.unshift((await post('/wallets', { network: 'Ethereum' }, other)).body.id);
  const seen: string[] = [];
  let token: string | undefined;
  do {
    const query = token === undefined ? '' : `&paginationToken=${encodeURIComponent(token)}`;
    const { body } = await call(application, other, 'GET', `/wallets?limit=2${query}`);
    t.ok(body.items.length <= 2);
    seen.push(...body.items.map((item: { id: string }) => item.id));
    token = body.nextPageToken;
  } while (token !== undefined);
  t.same(seen, made);
  t.equal((await call(application, account, 'GET', `/wallets/${made[0]}`)).status, 404);
  t.equal((await post(`/wallets/${made[0]}/signatures`, { kind: 'Hash', hash: 'ab'.repeat(32) })).status, 404);
  const tokenOf = (text: string): string => `paginationToken=${Buffer.from(text).toString('base64url')}`;
  for (const bad of [
    'limit=x',
    'limit=1&limit=2',
    'paginationToken=x',
    tokenOf('2026-02-31T00:00:00.000000Z wa-1'),
    tokenOf('0000-01-01T00:00:00.000000Z wa-1'),
    'owner=%00',
    `paginationToken=${'A'.repeat(300)}`,
  ])
    t.equal((await call(application, account, 'GET', `/wallets?${bad}`)).status, 400, bad);
});

t.test('a wallet whose key’s row was changed shows no address, anywhere', async (t) => {
  const { body: wallet } = await post('/wallets', { network: 'Ethereum' });
  const { body: thief } = await post('/wallets', { network: 'Ethereum' });
  await application.ownerQuery(
    'update key set public_key = stolen.public_key, attestation = stolen.attestation from key stolen where key.id = $1 and stolen.id = $2',
    [wallet.signingKey.id, thief.signingKey.id],
  );
  for (const path of [`/wallets/${wallet.id}`, `/keys/${wallet.signingKey.id}`, '/wallets', '/keys']) {
    const { status, body } = await call(application, account, 'GET', path);
    t.equal(status, 500, path);
    t.equal(body.error.details.code, 'ATTESTATION_INVALID');
    t.notMatch(JSON.stringify(body), thief.address);
    t.notMatch(JSON.stringify(body), thief.signingKey.publicKey);
  }
  const sign = await post(`/wallets/${wallet.id}/signatures`, { kind: 'Hash', hash: 'ab'.repeat(32) });
  t.equal(sign.status, 500);
});
