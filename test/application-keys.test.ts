import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { CodedError } from '../src/shared/errors.ts';
import { requestId } from '../src/shared/keys.ts';
import { createLog } from '../src/shared/log.ts';
import { call, keyStore, openApplication, signedCall, userAction } from './support/application.ts';

const application = await openApplication(t);
const { account, queue } = application;
const publicKey = '02a1dafeaa9c55c44bd4f04565d7b1b18148d95c8affd4233c66ef6fda1b232613';
const body = { scheme: 'ECDSA', curve: 'secp256k1', name: 'é key' };

t.beforeEach(() => {
  queue.submitted.length = 0;
  queue.refuse = undefined;
  queue.outcome = async ({ id, type }) => {
    await application.addKey(account.orgId, id, type, publicKey);
    return { state: 'made' };
  };
});

t.test('a key that was made is answered with its attested public key', async (t) => {
  const answer = await signedCall(application, account, 'POST', '/keys', body);
  t.equal(answer.status, 200);
  t.match(answer.body, {
    id: /^key-[a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{16}$/,
    scheme: 'ECDSA',
    curve: 'secp256k1',
    publicKey,
    status: 'Active',
    custodial: true,
    dateCreated: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  });
});

t.test('the queue gets what was asked, by whom, and what the caller’s credential signed', async (t) => {
  const { body: key } = await signedCall(application, account, 'POST', '/keys', { ...body, storeId: keyStore });
  const [request, ...more] = queue.submitted;
  t.same(more, []);
  t.match(request, {
    kind: 'GenerateKey',
    id: key.id,
    keyId: key.id,
    keyStore,
    keyName: 'é key',
    type: { scheme: 'ECDSA', curve: 'secp256k1' },
    requester: { organisation: account.orgId, serviceAccount: account.userId, accessToken: account.tokenId },
    body: { ...body, storeId: keyStore },
    authorisation: {
      method: 'POST',
      path: '/keys',
      payload: JSON.stringify({ ...body, storeId: keyStore }),
      credentialId: account.credentialId,
    },
  });
  t.equal(request?.id, requestId('key', account.orgId, { userAction: request?.userAction ?? '' }));
  const clientData = JSON.parse(Buffer.from(request?.authorisation.clientData ?? '', 'base64url').toString());
  t.equal(clientData.type, 'key.get');
});

t.test('one user action makes one key', async (t) => {
  const payload = JSON.stringify(body);
  const token = await userAction(application, account, 'POST', '/keys', payload);
  const headers = { 'x-dfns-useraction': token };
  t.equal((await call(application, account, 'POST', '/keys', payload, headers)).status, 200);
  const again = await call(application, account, 'POST', '/keys', payload, headers);
  t.equal(again.status, 400);
  t.equal(again.body.message, 'user action has already been used');
  t.equal(queue.submitted.length, 1);
});

t.test('a body that was written anew on its way is taken, and what was signed is what travels on', async (t) => {
  const signed = '{"scheme":"ECDSA","curve":"secp256k1","name":"\\u00e9 key"}';
  const token = await userAction(application, account, 'POST', '/keys', signed);
  const sent = '{ "scheme": "ECDSA", "curve": "secp256k1", "name": "é key" }';
  const answer = await call(application, account, 'POST', '/keys', sent, { 'x-dfns-useraction': token });
  t.equal(answer.status, 200);
  t.equal(queue.submitted[0]?.authorisation.payload, signed);
});

t.test('without a ready HSM nothing is stored', async (t) => {
  queue.refuse = new CodedError('NO_SIGNER_READY', 'no slot');
  const answer = await signedCall(application, account, 'POST', '/keys', body);
  t.equal(answer.status, 503);
  t.match(answer.headers, { 'retry-after': /^\d+$/ });
  t.same(queue.submitted, []);
});

t.test('a key that nobody began to make is cancelled, and the answer says so', async (t) => {
  queue.outcome = () => ({});
  const answer = await signedCall(application, account, 'POST', '/keys', body);
  t.equal(answer.status, 503);
  t.equal(answer.body.error.details.code, 'NO_SIGNER_READY');
  t.match(answer.headers, { 'retry-after': /^\d+$/ });
  t.equal(queue.rows.get(queue.submitted[0]?.id ?? '')?.state, 'cancelled');
});

t.test('a key that is still being made is not cancelled', async (t) => {
  for (const state of [{ state: 'leased' }, { state: 'queued', deliveries: 1 }] as const) {
    queue.outcome = () => state;
    const answer = await signedCall(application, account, 'POST', '/keys', body);
    t.equal(answer.status, 504);
    t.equal(answer.body.error.details.code, 'KEY_BEING_MADE');
    t.match(answer.body.message, /key-/, 'names the key');
  }
});

t.test('a key whose request is in the table is being made, whatever becomes of the database', async (t) => {
  queue.outcome = () => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' }));
  const answer = await signedCall(application, account, 'POST', '/keys', body);
  t.equal(answer.status, 504, '“try again” would make a second one');
  t.equal(answer.body.error.details.code, 'KEY_BEING_MADE');
});

t.test('a key that could not be made is an error with its reason', async (t) => {
  queue.outcome = () => ({ state: 'failed', errorCode: 'CURVE_NOT_SUPPORTED', errorMessage: 'slot hsm-1 at 10.0.0.1' });
  const answer = await signedCall(application, account, 'POST', '/keys', body);
  t.equal(answer.status, 500);
  t.match(answer.body.message, /^The key could not be made: CURVE_NOT_SUPPORTED: /);
  t.notMatch(answer.body.message, /10\.0\.0\.1/, 'what a driver writes about itself stays inside');
});

t.test('what an HSM key store cannot make is refused with a sentence', async (t) => {
  const wrong = [
    { scheme: 'ECDSA', curve: 'stark' },
    { scheme: 'EdDSA', curve: 'secp256k1' },
    { scheme: 'Schnorr', curve: 'secp256k1' },
    { scheme: 'DH', curve: 'secp256k1' },
    { ...body, masterKey: true },
    { ...body, deriveFrom: { keyId: 'key-1', path: 'm/0' } },
    { ...body, delegateTo: 'us-1' },
    { ...body, delayDelegation: true },
  ];
  for (const one of wrong) {
    const answer = await signedCall(application, account, 'POST', '/keys', one);
    t.equal(answer.status, 400, JSON.stringify(one));
    t.match(answer.body.message, /^Not supported by an HSM key store: /);
  }
  t.equal((await signedCall(application, account, 'POST', '/keys', { scheme: 'ECDSA', curve: 'P-256' })).status, 400);
  t.equal((await signedCall(application, account, 'POST', '/keys', { ...body, storeId: 'elsewhere' })).status, 404);
  t.same(queue.submitted, []);
});

t.test('a key whose row was changed is never shown', async (t) => {
  queue.outcome = async ({ id, type }) => {
    await application.addKey(account.orgId, id, type, publicKey);
    await ownerQuery('update key set public_key = $2 where id = $1', [id, `03${publicKey.slice(2)}`]);
    return { state: 'made' };
  };
  const answer = await signedCall(application, account, 'POST', '/keys', body);
  t.equal(answer.status, 500);
  t.equal(answer.body.error.details.code, 'ATTESTATION_INVALID');
  t.notMatch(JSON.stringify(answer.body), publicKey.slice(2));
});

/** The runtime role cannot change a public key. */
async function ownerQuery(statement: string, values: unknown[]): Promise<void> {
  const options = { applicationName: 'test', max: 1, durability: 'durable', role: 'owner' } as const;
  const pool = createPool(application.databases.api, options, createLog('silent', {}));
  await pool.query(statement, values);
  await pool.end();
}
