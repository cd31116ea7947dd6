import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import t from 'tap';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

const application = await openLiveApplication(t);
const { account } = application;

/** As the SDK's BrowserKeySigner makes a credential. */
function attestation(challenge: string, key: { publicKey: KeyObject; privateKey: KeyObject }, type = 'key.create') {
  const publicKey = String(key.publicKey.export({ type: 'spki', format: 'pem' }));
  const clientData = JSON.stringify({ type, challenge });
  const clientDataHash = createHash('sha256').update(clientData).digest('hex');
  const message = Buffer.from(JSON.stringify({ clientDataHash, publicKey }));
  const signature = sign('sha256', message, key.privateKey).toString('hex');
  return {
    clientData: Buffer.from(clientData).toString('base64url'),
    attestationData: Buffer.from(JSON.stringify({ publicKey, signature })).toString('base64url'),
  };
}

async function challenge(by = account) {
  return (await call(application, by, 'POST', '/auth/credentials/init', '{"kind":"Key"}')).body;
}

function register(by: typeof account, challengeIdentifier: string, credentialInfo: Record<string, string>) {
  const body = { credentialKind: 'Key', credentialInfo, credentialName: 'second', challengeIdentifier };
  return signedCall(application, by, 'POST', '/auth/credentials', body);
}

t.test('a second key signs for the account, and the first can be switched off', async (t) => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { challenge: text, challengeIdentifier } = await challenge();
  const made = await register(account, challengeIdentifier, { credId: 'second-key', ...attestation(text, key) });
  t.match(made, { status: 200, body: { kind: 'Key', credentialId: 'second-key', isActive: true, name: 'second' } });
  const { body: list } = await call(application, account, 'GET', '/auth/credentials');
  t.same(
    list.items.map((one: { credentialId: string }) => one.credentialId),
    [account.credentialId, 'second-key'],
  );

  const off = { credentialUuid: account.credentialId };
  t.equal((await signedCall(application, account, 'PUT', '/auth/credentials/deactivate', off)).status, 200);
  const init = '{"userActionPayload":"","userActionHttpMethod":"POST","userActionHttpPath":"/keys"}';
  const { body: started } = await call(application, account, 'POST', '/auth/action/init', init);
  t.same(started.allowCredentials.key, [{ type: 'public-key', id: 'second-key' }]);

  // P-256 signatures are over SHA-256, which `sign(null)` of the test’s own helper is not: this one signs by itself.
  const body = JSON.stringify({ credentialUuid: 'second-key' });
  const path = '/auth/credentials/deactivate';
  const again = await call(
    application,
    account,
    'POST',
    '/auth/action/init',
    JSON.stringify({ userActionPayload: body, userActionHttpMethod: 'PUT', userActionHttpPath: path }),
  );
  const clientData = Buffer.from(JSON.stringify({ type: 'key.get', challenge: again.body.challenge }));
  const { body: completed } = await call(
    application,
    account,
    'POST',
    '/auth/action',
    JSON.stringify({
      challengeIdentifier: again.body.challengeIdentifier,
      firstFactor: {
        kind: 'Key',
        credentialAssertion: {
          credId: 'second-key',
          clientData: clientData.toString('base64url'),
          signature: sign('sha256', clientData, key.privateKey).toString('base64url'),
        },
      },
    }),
  );
  const last = await call(application, account, 'PUT', path, body, { 'x-dfns-useraction': completed.userAction });
  t.match(last, { status: 400, body: { message: /last active one/ } });
});

t.test('a key that its holder did not attest for this account is refused', async (t) => {
  const by = await application.newAccount();
  const other = await application.newAccount();
  const [key, another] = [
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ];
  const { challenge: text, challengeIdentifier } = await challenge(by);
  const theirs = await challenge(other);
  const mixed = attestation(text, { publicKey: key.publicKey, privateKey: another.privateKey });
  for (const [name, identifier, info] of [
    ['signed by another key', challengeIdentifier, mixed],
    ['another challenge', challengeIdentifier, attestation('x', key)],
    ['another type', challengeIdentifier, attestation(text, key, 'key.get')],
    ['no attestation', challengeIdentifier, { ...attestation(text, key), attestationData: 'e30' }],
    ['another account’s challenge', theirs.challengeIdentifier, attestation(theirs.challenge, key)],
    ['no challenge of ours', 'x.y', attestation(text, key)],
  ] as const)
    t.equal((await register(by, identifier, { credId: 'cr-new', ...info })).status, 400, name);
  const taken = { credId: account.credentialId, ...attestation(text, key) };
  t.equal((await register(by, challengeIdentifier, taken)).status, 400, 'an id that is taken');
  t.equal((await call(application, by, 'POST', '/auth/credentials/init', '{"kind":"Fido2"}')).status, 400);
  t.equal((await call(application, by, 'GET', '/auth/credentials')).body.items.length, 1);
});
