import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { call, signedCall, type TestAccount } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

const application = await openLiveApplication(t);
const { account: administrator } = application;
const [fullAccess, readOnly, signer] = [
  'pm-built-inset-fullaccess000000',
  'pm-built-inset-readonly00000000',
  'pm-built-inset-signer0000000000',
];

async function serviceAccount(
  by: TestAccount,
  permissionId?: string,
  more: Record<string, unknown> = {},
): Promise<TestAccount> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const body = { name: 'Bot', publicKey: publicKey.export({ type: 'spki', format: 'pem' }), permissionId, ...more };
  const answer = await signedCall(application, by, 'POST', '/auth/service-accounts', body);
  if (answer.status !== 200) throw new Error(answer.body.message);
  const { userInfo, accessTokens } = answer.body;
  const [token] = accessTokens;
  return {
    orgId: userInfo.orgId,
    userId: userInfo.userId,
    tokenId: token.tokenId,
    authToken: token.accessToken,
    credentialId: token.credId,
    privateKey,
  };
}

function post(by: TestAccount, path: string, body: unknown) {
  return signedCall(application, by, 'POST', path, body);
}

const key = { scheme: 'ECDSA', curve: 'secp256k1' };

t.test('an account without the permission is refused with the operation’s name, before its body is read', async (t) => {
  const bot = await serviceAccount(administrator);
  for (const [method, path, operation] of [
    ['POST', '/keys', 'Keys:Create'],
    ['GET', '/keys', 'Keys:Read'],
    ['DELETE', '/keys/key-1', 'Keys:Delete'],
    ['POST', '/wallets/wa-1/signatures', 'Keys:Signatures:Create'],
    ['GET', '/webhooks', 'Webhooks:Read'],
    ['POST', '/auth/service-accounts', 'Auth:ServiceAccounts:Create'],
    ['POST', '/permissions', 'Permissions:Create'],
  ] as const) {
    const { status, body } = await call(application, bot, method, path, method === 'GET' ? undefined : 'no JSON');
    t.equal(status, 403, path);
    t.equal(
      body.error.message,
      `CustomerEmployee ${bot.userId} is not authorized to perform operation (${operation})`,
      path,
    );
  }
});

t.test('the built-in permissions allow what their names say', async (t) => {
  const { body: made } = await post(administrator, '/keys', key);
  const sign = { kind: 'Hash', hash: 'ab'.repeat(32) };

  const reader = await serviceAccount(administrator, readOnly);
  t.equal((await call(application, reader, 'GET', `/keys/${made.id}`)).status, 200);
  t.equal((await post(reader, `/keys/${made.id}/signatures`, sign)).status, 403);

  const bot = await serviceAccount(administrator, signer);
  t.equal((await post(bot, `/keys/${made.id}/signatures`, sign)).body.status, 'Signed');
  t.equal((await post(bot, '/keys', key)).status, 403);
  t.equal((await call(application, bot, 'GET', '/auth/service-accounts')).status, 403);

  const list = await call(application, administrator, 'GET', '/permissions');
  t.same(
    list.body.items.map((one: { id: string; isImmutable: boolean }) => [one.id, one.isImmutable]),
    [fullAccess, readOnly, signer].map((id) => [id, true]),
  );
  t.equal((await signedCall(application, administrator, 'PUT', `/permissions/${signer}`, { name: 'x' })).status, 400);
});

t.test('a permission of the organisation’s own takes effect, changes and goes with the next call', async (t) => {
  const { body: permission } = await post(administrator, '/permissions', {
    name: 'Lists keys',
    operations: ['Keys:Read', 'Policies:Read'],
  });
  const bot = await serviceAccount(administrator, permission.id);
  const status = async (path: string) => (await call(application, bot, 'GET', path)).status;
  t.same([await status('/keys'), await status('/wallets')], [200, 403]);

  const path = `/permissions/${permission.id}`;
  await signedCall(application, administrator, 'PUT', path, { operations: ['Wallets:Read'] });
  t.same([await status('/keys'), await status('/wallets')], [403, 200]);
  await signedCall(application, administrator, 'PUT', `${path}/archive`, { isArchived: true });
  t.equal(await status('/wallets'), 403, 'archived');
  await signedCall(application, administrator, 'PUT', `${path}/archive`, { isArchived: false });
  t.equal(await status('/wallets'), 200);

  const { body: assignments } = await call(application, administrator, 'GET', `${path}/assignments`);
  t.match(assignments.items, [{ permissionId: permission.id, identityId: bot.userId }]);
  const revoked = await signedCall(
    application,
    administrator,
    'DELETE',
    `${path}/assignments/${assignments.items[0].id}`,
    {},
  );
  t.same(revoked.body, {});
  t.equal(await status('/wallets'), 403, 'revoked');
  const assigned = await post(administrator, `${path}/assignments`, { identityId: bot.userId });
  t.match(assigned.body, { permissionId: permission.id, identityId: bot.userId });
  t.equal(await status('/wallets'), 200);
});

t.test('nobody passes on what he may not do himself', async (t) => {
  const { body: permission } = await post(administrator, '/permissions', {
    name: 'Makes accounts',
    operations: [
      'Auth:ServiceAccounts:Create',
      'Permissions:Create',
      'Permissions:Update',
      'Permissions:Assign',
      'Keys:Read',
    ],
  });
  const clerk = await serviceAccount(administrator, permission.id);
  await t.rejects(serviceAccount(clerk, fullAccess), /is not authorized to perform operation/);
  t.equal((await post(clerk, '/permissions', { name: 'more', operations: ['Keys:Delete'] })).status, 403);
  const wider = { operations: ['Keys:Delete'] };
  t.equal((await signedCall(application, clerk, 'PUT', `/permissions/${permission.id}`, wider)).status, 403);
  t.equal((await post(clerk, `/permissions/${fullAccess}/assignments`, { identityId: clerk.userId })).status, 403);
  const { body: narrower } = await post(clerk, '/permissions', { name: 'less', operations: ['Keys:Read'] });
  const reader = await serviceAccount(clerk, narrower.id);
  t.equal((await call(application, reader, 'GET', '/keys')).status, 200);
});

t.test('permissions, accounts and assignments of another organisation are not there', async (t) => {
  const stranger = await application.newAccount();
  const { body: permission } = await post(stranger, '/permissions', { name: 'theirs', operations: ['Keys:Read'] });
  t.equal((await call(application, administrator, 'GET', `/permissions/${permission.id}`)).status, 404);
  await t.rejects(serviceAccount(administrator, permission.id), /Not found/);
  const theirs = { identityId: stranger.userId };
  t.equal((await post(administrator, `/permissions/${readOnly}/assignments`, theirs)).status, 404);
  t.equal((await call(application, administrator, 'GET', `/auth/service-accounts/${stranger.userId}`)).status, 404);
  const off = await signedCall(
    application,
    administrator,
    'PUT',
    `/auth/service-accounts/${stranger.userId}/deactivate`,
    {},
  );
  t.equal(off.status, 404);
});

t.test('a wallet for a new key, for an existing one, and with tags each need their permission', async (t) => {
  const { body: permission } = await post(administrator, '/permissions', {
    name: 'Wallets only',
    operations: ['Wallets:Create'],
  });
  const bot = await serviceAccount(administrator, permission.id);
  const { body: made } = await post(administrator, '/keys', key);
  for (const [body, operation] of [
    [{ network: 'Ethereum' }, 'Keys:Create'],
    [{ network: 'Ethereum', signingKey: { id: made.id } }, 'Keys:Reuse'],
    [{ network: 'Ethereum', tags: ['a'] }, 'Wallets:Tags:Add'],
  ] as const) {
    const { status, body: answer } = await post(bot, '/wallets', body);
    t.equal(status, 403);
    t.match(answer.message, `(${operation})`);
  }
});
