import { readFileSync } from 'node:fs';
import { createServer, globalAgent } from 'node:https';
import type { AddressInfo } from 'node:net';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import t from 'tap';
import { request as httpRequest } from 'undici';
import { startGuard } from '../src/guard/guard.ts';
import { openUpstream } from '../src/guard/upstream.ts';
import { createLog } from '../src/shared/log.ts';
import { newChallenge, type SignedRequest } from '../src/shared/user-action/challenge.ts';
import { makeCertificates } from './support/certificates.ts';
import { openLiveApplication } from './support/live-application.ts';

/**
 * The unmodified SDK with the guard as its `baseAuthUrl`: once before an honest API, once before one that wants other
 * things signed than the application sends.
 */
const application = await openLiveApplication(t);
const { account } = application;
await application.server.listen({ host: '127.0.0.1', port: 0 });
const honest = `https://127.0.0.1:${(application.server.server.address() as AddressInfo).port}`;
const certificates = await makeCertificates(t);
globalAgent.options.ca = [readFileSync(application.caFile), readFileSync(certificates.serverCaFile)];

const log: Record<string, unknown>[] = [];
const startBefore = async (api: string, caFile: string) => {
  const guard = await startGuard({
    upstream: openUpstream(api, caFile),
    port: 0,
    log: createLog('info', {}, { write: (line) => void log.push(JSON.parse(line)) }),
  });
  t.teardown(() => guard.stop());
  return guard;
};

/** What the credential was brought to sign. */
const signed: string[] = [];
const signer = new AsymmetricKeySigner({
  credId: account.credentialId,
  privateKey: String(account.privateKey.export({ type: 'pkcs8', format: 'pem' })),
});
const watchedSigner = {
  sign(challenge: Parameters<typeof signer.sign>[0]) {
    signed.push(challenge.challenge);
    return signer.sign(challenge);
  },
};
/** The SDK’s types do not know `baseAuthUrl`, its code does. */
const sdk = (baseUrl: string, baseAuthUrl: string) => {
  const { orgId, authToken } = account;
  const options = { baseUrl, baseAuthUrl, orgId, authToken, signer: watchedSigner };
  return new DfnsApiClient(options);
};

/** An attacker’s API: it asks for signatures over what it wants. */
type Trick = (asked: SignedRequest) => unknown;
let trick: Trick = () => ({});
const wellMeant = { '/auth/action/init': 200, '/auth/action': 200 };
/** With what status it answers each path. */
let statuses: Record<string, number> = wellMeant;
const calls: string[] = [];
const hostileServer = createServer(
  { cert: readFileSync(certificates.server.certificateFile), key: readFileSync(certificates.server.privateKeyFile) },
  async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    calls.push(request.url ?? '');
    const asked = {
      method: body.userActionHttpMethod,
      path: body.userActionHttpPath,
      payload: body.userActionPayload,
    };
    const answer = request.url === '/auth/action/init' ? trick(asked) : { userAction: 'x' };
    response
      .writeHead(statuses[request.url ?? ''] ?? 404, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer));
  },
);
await new Promise<void>((resolve) => hostileServer.listen(0, '127.0.0.1', resolve));
t.teardown(() => hostileServer.close());
const hostile = `https://127.0.0.1:${(hostileServer.address() as AddressInfo).port}`;

const honestGuard = await startBefore(honest, application.caFile);
const hostileGuard = await startBefore(hostile, certificates.serverCaFile);
const inAMinute = (): number => Date.now() + 60_000;
const challengeFor = (request: SignedRequest, expiresAtMs = inAMinute()) => ({
  challengeIdentifier: 'x',
  challenge: newChallenge(request, expiresAtMs),
  allowCredentials: { key: [{ type: 'public-key', id: account.credentialId }], webauthn: [] },
});

t.test('through the guard the SDK makes keys and wallets, and signs with them', async (t) => {
  const client = sdk(honest, honestGuard.url);
  const key = await client.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1', name: 'é' } });
  const body = { kind: 'Hash', hash: `0x${'ab'.repeat(32)}` } as const;
  t.equal((await client.keys.generateSignature({ keyId: key.id, body })).status, 'Signed');
  const wallet = await client.wallets.createWallet({ body: { network: 'Ethereum' } });
  t.equal((await client.wallets.generateSignature({ walletId: wallet.id, body })).status, 'Signed');
  t.equal(signed.length, 4);
});

t.test('the API’s own refusals come through', async (t) => {
  const options = {
    baseUrl: honest,
    baseAuthUrl: honestGuard.url,
    authToken: `${account.authToken.slice(0, -43)}${'A'.repeat(43)}`,
    signer,
  };
  const stranger = new DfnsApiClient(options);
  await t.rejects(stranger.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }), {
    httpStatus: 401,
    message: 'Not Authorized.',
  });
});

t.test('a hostile API cannot have the credential sign anything but what the application sends', async (t) => {
  const client = sdk(hostile, hostileGuard.url);
  const keyId = 'key-aaaaa-bbbbb-cccccccccccccccc';
  const body = { kind: 'Hash', hash: `0x${'11'.repeat(32)}` } as const;
  const tricks: Record<string, Trick> = {
    'another payload': (asked) =>
      challengeFor({ ...asked, payload: JSON.stringify({ ...body, hash: `0x${'22'.repeat(32)}` }) }),
    'another path': (asked) => challengeFor({ ...asked, path: asked.path.replace('aaaaa', 'zzzzz') }),
    'another method': (asked) => challengeFor({ ...asked, method: 'PUT' }),
    'the right one, good for years': (asked) => challengeFor(asked, Date.now() + 1e11),
    'no hash at all': (asked) => ({ ...challengeFor(asked), challenge: 'give me everything' }),
    'the right one in an unusual spelling': (asked) => ({
      ...challengeFor(asked),
      challenge: `${challengeFor(asked).challenge}=`,
    }),
    'no challenge': () => ({ allowCredentials: { key: [{ id: account.credentialId }] } }),
    'nothing that is JSON': () => undefined,
  };
  signed.length = 0;
  for (const [name, one] of Object.entries(tricks)) {
    trick = one;
    await t.rejects(
      client.keys.generateSignature({ keyId, body }),
      { httpStatus: 502, message: /guard did not let this through/ },
      name,
    );
    t.equal(log.at(-1)?.code, 'GUARD_REFUSED');
  }
  t.same(signed, [], 'and the credential signed nothing');
  t.notOk(calls.includes('/auth/action'), 'so nothing signed reached it');
});

t.test('no status but 200 makes a challenge one that was looked at', async (t) => {
  const client = sdk(hostile, hostileGuard.url);
  const keyId = 'key-aaaaa-bbbbb-cccccccccccccccc';
  const body = { kind: 'Hash', hash: `0x${'11'.repeat(32)}` } as const;
  trick = (asked) => challengeFor({ ...asked, path: '/keys/key-zzzzz-bbbbb-cccccccccccccccc/signatures' });
  signed.length = 0;
  t.teardown(() => {
    statuses = wellMeant;
  });
  for (const status of [201, 202, 203, 206, 226, 299, 300, 302, 307]) {
    statuses = { ...wellMeant, '/auth/action/init': status };
    await t.rejects(
      client.keys.generateSignature({ keyId, body }),
      { httpStatus: 502, message: /guard did not let this through/ },
      `${status}`,
    );
    t.match(log.at(-1), { code: 'GUARD_REFUSED', cause: new RegExp(`status ${status},`) });
  }
  t.same(signed, [], 'and the credential signed nothing');
  t.notOk(calls.includes('/auth/action'));

  statuses = { ...wellMeant, '/auth/action': 201 };
  trick = (asked) => challengeFor(asked);
  await t.rejects(
    client.keys.generateSignature({ keyId, body }),
    { httpStatus: 502, message: /guard did not let/ },
    'nor of what was signed',
  );
  t.match(log.at(-1), { code: 'GUARD_REFUSED', cause: /auth\/action with status 201/ });
  calls.length = 0;
});

t.test('a signed challenge that did not come through the guard goes nowhere', async (t) => {
  const own = challengeFor({ method: 'POST', path: '/keys', payload: '{}' });
  const firstFactor = await signer.sign(own as never);
  const answer = await httpRequest(`${hostileGuard.url}/auth/action`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ challengeIdentifier: 'x', firstFactor }),
  });
  t.equal(answer.statusCode, 502);
  t.match(await answer.body.json(), { error: { code: 'GUARD_REFUSED', message: /came through here/ } });
  t.notOk(calls.includes('/auth/action'));
});

t.test('it passes on nothing else, under no other name, and only to https', async (t) => {
  const other = await httpRequest(`${honestGuard.url}/keys`, { method: 'GET' });
  t.match([other.statusCode, await other.body.json()], [404, { error: { message: /baseAuthUrl, not a baseUrl/ } }]);
  const named = await httpRequest(`${honestGuard.url}/auth/action/init`, {
    method: 'POST',
    headers: { host: 'evil.example' },
  });
  t.equal(named.statusCode, 502);
  await named.body.dump();
  t.match(honestGuard.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  for (const address of ['http://127.0.0.1:1', 'nonsense', 'file:///etc/passwd'])
    t.throws(() => openUpstream(address, undefined), { code: 'OPTION_INVALID' });
  t.throws(() => openUpstream(honest, '/nowhere/ca.pem'), { code: 'OPTION_INVALID' });
});

t.test('an API that cannot be reached, or is not who it says, is an error and not a way round', async (t) => {
  const gone = await startBefore('https://127.0.0.1:1', application.caFile);
  const wrongCa = await startBefore(hostile, application.caFile);
  for (const guard of [gone, wrongCa])
    await t.rejects(sdk(honest, guard.url).keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }), {
      httpStatus: 502,
      message: /cannot reach/,
    });
});
