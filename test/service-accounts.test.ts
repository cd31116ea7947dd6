import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

const application = await openLiveApplication(t);
const { account: administrator } = application;
const readOnly = 'pm-built-inset-readonly00000000';

function pem(): string {
  return String(generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }));
}

function create(body: Record<string, unknown>) {
  return signedCall(application, administrator, 'POST', '/auth/service-accounts', { publicKey: pem(), ...body });
}

function put(path: string, body: unknown = {}) {
  return signedCall(application, administrator, 'PUT', `/auth/service-accounts/${path}`, body);
}

t.test('a new service account is answered with its token, once', async (t) => {
  const body = { name: 'Bot', permissionId: readOnly, externalId: 'bot-1', daysValid: 1 };
  const { status, body: answer } = await create(body);
  t.equal(status, 200);
  const { userId } = answer.userInfo;
  t.match(answer.userInfo, {
    userId: /^us-/,
    name: 'Bot',
    kind: 'CustomerEmployee',
    orgId: administrator.orgId,
    isActive: true,
    isServiceAccount: true,
    permissionAssignments: [{ permissionName: 'Read only', permissionId: readOnly, assignmentId: /^as-/ }],
  });
  const [token] = answer.accessTokens;
  t.match(token, { accessToken: /\./, credId: /^cr-/, tokenId: /^to-/, kind: 'ServiceAccount', isActive: true });
  const claims = JSON.parse(Buffer.from(token.accessToken.split('.')[1], 'base64url').toString());
  t.ok(Math.abs(claims.exp - Date.now() / 1000 - 86_400) < 60, 'valid for a day');
  t.equal((await call(application, { authToken: token.accessToken }, 'GET', '/keys')).status, 200);

  const { body: shown } = await call(application, administrator, 'GET', `/auth/service-accounts/${userId}`);
  t.notMatch(JSON.stringify(shown), token.accessToken.slice(-43));
  const { body: list } = await call(application, administrator, 'GET', '/auth/service-accounts');
  t.same(list.items[1], shown);
  t.equal(list.items.length, 2);
});

t.test('what is no credential key makes no account', async (t) => {
  const count = async () => (await call(application, administrator, 'GET', '/auth/service-accounts')).body.items.length;
  const before = await count();
  for (const publicKey of ['x', `${pem()}`.replace('MC', 'MM')]) {
    const { status, body } = await create({ name: 'Bot', publicKey });
    t.equal(status, 400);
    t.equal(body.error.details.code, 'CREDENTIAL_REFUSED');
  }
  t.equal((await create({ name: 'Bot', daysValid: 731 })).status, 400);
  t.equal((await create({ name: 'Bot', permissionId: 'pm-nowhere' })).status, 404);
  t.equal(await count(), before);
});

t.test('a deactivated account is refused at once and may come back; a deleted one never', async (t) => {
  const { body } = await create({ name: 'Bot', permissionId: readOnly });
  const { userId } = body.userInfo;
  const authToken = body.accessTokens[0].accessToken;
  const status = async () => (await call(application, { authToken }, 'GET', '/keys')).status;
  t.equal((await put(`${userId}/deactivate`, { force: true })).body.userInfo.isActive, false);
  t.equal(await status(), 401);
  t.equal((await put(`${userId}/activate`)).body.userInfo.isActive, true);
  t.equal(await status(), 200);

  const deleted = await signedCall(application, administrator, 'DELETE', `/auth/service-accounts/${userId}`, {});
  t.match(deleted, {
    status: 200,
    body: { userInfo: { userId, isActive: false }, accessTokens: [{ isActive: false }] },
  });
  t.equal(await status(), 401);
  t.equal((await put(`${userId}/activate`)).status, 404);
  t.equal((await call(application, administrator, 'GET', `/auth/service-accounts/${userId}`)).status, 404);
});

t.test('name and externalId can be changed', async (t) => {
  const { body } = await create({ name: 'before' });
  const { status, body: after } = await put(body.userInfo.userId, { name: 'after', externalId: 'x' });
  t.equal(status, 200);
  t.match(after.userInfo, { name: 'after', externalId: 'x' });
});
