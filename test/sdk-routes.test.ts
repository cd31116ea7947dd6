import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { globalAgent } from 'node:https';
import type { AddressInfo } from 'node:net';
import { DfnsApiClient, DfnsError } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import t from 'tap';
import { openLiveApplication } from './support/live-application.ts';
import { openReceiver } from './support/webhook-receiver.ts';

/** Every call of this API through the official SDK, unmodified, over HTTPS. */
const application = await openLiveApplication(t, { configuration: { webhooks: { privateAddresses: true } } });
const { account, server } = application;
await server.listen({ host: '127.0.0.1', port: 0 });
// What NODE_EXTRA_CA_CERTS does for a process; the SDK has no option of its own.
globalAgent.options.ca = readFileSync(application.caFile);
const baseUrl = `https://127.0.0.1:${(server.server.address() as AddressInfo).port}`;

function client(orgId: string, authToken: string, credId: string, privateKey: string): DfnsApiClient {
  return new DfnsApiClient({ baseUrl, orgId, authToken, signer: new AsymmetricKeySigner({ credId, privateKey }) });
}

const privateKey = String(account.privateKey.export({ type: 'pkcs8', format: 'pem' }));
const dfns = client(account.orgId, account.authToken, account.credentialId, privateKey);

t.test('wallets', async (t) => {
  const wallet = await dfns.wallets.createWallet({ body: { network: 'EthereumSepolia', name: 'é', tags: ['a'] } });
  const walletId = wallet.id;
  t.same(await dfns.wallets.getWallet({ walletId }), wallet);
  t.same((await dfns.wallets.listWallets()).items, [wallet]);
  const signature = await dfns.wallets.generateSignature({ walletId, body: { kind: 'Hash', hash: 'ab'.repeat(32) } });
  t.equal(signature.status, 'Signed');
  t.same(await dfns.wallets.getSignature({ walletId, signatureId: signature.id }), signature);
  t.same((await dfns.wallets.listSignatures({ walletId, query: { limit: 1 } })).items, [signature]);
  t.match(await dfns.wallets.updateWallet({ walletId, body: { externalId: 'x' } }), { externalId: 'x' });
  await dfns.wallets.tagWallet({ walletId, body: { tags: ['b'] } });
  await dfns.wallets.untagWallet({ walletId, body: { tags: ['a'] } });
  t.same((await dfns.wallets.getWallet({ walletId })).tags, ['b']);
});

t.test('keys', async (t) => {
  const key = await dfns.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } });
  const keyId = key.id;
  t.match(await dfns.keys.getKey({ keyId }), { ...key, wallets: [], store: { kind: 'Hsm' } });
  t.same((await dfns.keys.listKeys({ query: { limit: 1 } })).items, [key]);
  t.match(await dfns.keys.updateKey({ keyId, body: { name: 'x' } }), { name: 'x' });
  const signature = await dfns.keys.generateSignature({ keyId, body: { kind: 'Message', message: '0x00' } });
  t.same((await dfns.keys.listSignatures({ keyId })).items, [signature]);
  const wallet = await dfns.wallets.createWallet({ body: { network: 'Solana', signingKey: { id: keyId } } });
  t.equal(wallet.signingKey.id, keyId);
  t.match(await dfns.keys.deleteKey({ keyId }), { status: 'Archived' });
  t.equal((await dfns.wallets.getWallet({ walletId: wallet.id })).status, 'Archived');
  const error = await dfns.keys.delegateKey({ keyId, body: { delegateTo: 'us-1' } }).catch((thrown) => thrown);
  t.ok(error instanceof DfnsError);
  t.match(error, { httpStatus: 400, message: /^Not supported by an HSM key store/ });
});

t.test('key stores and signers', async (t) => {
  t.match((await dfns.signers.listKeyStores()).items, [{ kind: 'Hsm', primary: true }]);
  t.same((await dfns.signers.listSigners()).clusters, []);
});

t.test('service accounts and their permissions', async (t) => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = String(pair.publicKey.export({ type: 'spki', format: 'pem' }));
  const permission = await dfns.permissions.createPermission({ body: { name: 'Reads', operations: ['Keys:Read'] } });
  const created = await dfns.auth.createServiceAccount({
    body: { name: 'Bot', publicKey, permissionId: permission.id },
  });
  const [token] = created.accessTokens;
  const serviceAccountId = created.userInfo.userId;
  const bot = client(
    created.userInfo.orgId,
    token?.accessToken ?? '',
    token?.credId ?? '',
    String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
  );
  t.ok((await bot.keys.listKeys()).items.length > 0);
  const refused = await bot.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } }).catch((thrown) => thrown);
  t.match(refused, {
    httpStatus: 403,
    message: `CustomerEmployee ${serviceAccountId} is not authorized to perform operation (Keys:Create)`,
  });
  t.equal((await dfns.auth.getServiceAccount({ serviceAccountId })).userInfo.name, 'Bot');
  t.equal((await dfns.auth.listServiceAccounts()).items.length, 2);
  await dfns.auth.updateServiceAccount({ serviceAccountId, body: { name: 'Other' } });
  const permissionId = permission.id;
  await dfns.permissions.updatePermission({ permissionId, body: { operations: ['Wallets:Read'] } });
  t.match(await bot.keys.listKeys().catch((thrown) => thrown), { httpStatus: 403 });
  const [assignment] = (await dfns.permissions.listAssignments({ permissionId })).items;
  await dfns.permissions.deleteAssignment({ permissionId, assignmentId: assignment?.id ?? '' });
  await dfns.permissions.createAssignment({ permissionId, body: { identityId: serviceAccountId } });
  t.equal((await dfns.permissions.getPermission({ permissionId })).name, 'Reads');
  t.equal((await dfns.permissions.listPermissions()).items.length, 4);
  await dfns.permissions.archivePermission({ permissionId, body: { isArchived: true } });
  await dfns.auth.deactivateServiceAccount({ serviceAccountId, body: {} });
  t.match(await bot.keys.listKeys().catch((thrown) => thrown), { httpStatus: 401, message: 'Not Authorized.' });
  await dfns.auth.activateServiceAccount({ serviceAccountId });
  t.equal((await dfns.auth.archiveServiceAccount({ serviceAccountId })).userInfo.isActive, false);
});

t.test('credentials', async (t) => {
  const [credential] = (await dfns.auth.listCredentials()).items;
  t.equal(credential?.credentialId, account.credentialId);
  const body = { credentialUuid: credential?.credentialUuid ?? '' };
  t.match(await dfns.auth.deactivateCredential({ body }).catch((thrown) => thrown), { httpStatus: 400 });
  t.same(await dfns.auth.activateCredential({ body }), { message: 'success' });
  t.match(await dfns.auth.createCredentialChallenge({ body: { kind: 'Key' } }), { kind: 'Key' });
});

t.test('webhooks', async (t) => {
  const receiver = await openReceiver(t);
  const webhook = await dfns.webhooks.createWebhook({ body: { url: receiver.url, events: ['key.created'] } });
  const webhookId = webhook.id;
  const { secret, ...shown } = webhook;
  t.type(secret, 'string');
  t.same(await dfns.webhooks.getWebhook({ webhookId }), shown);
  t.same((await dfns.webhooks.listWebhooks()).items, [shown]);
  t.same(await dfns.webhooks.pingWebhook({ webhookId }), { status: '200' });
  await dfns.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } });
  const [event] = (await dfns.webhooks.listWebhookEvents({ webhookId })).items;
  t.match(await dfns.webhooks.getWebhookEvent({ webhookId, webhookEventId: event?.id ?? '' }), { kind: 'key.created' });
  t.match(await dfns.webhooks.updateWebhook({ webhookId, body: { status: 'Disabled' } }), { status: 'Disabled' });
  t.same(await dfns.webhooks.deleteWebhook({ webhookId }), { deleted: true });
});
