import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import t, { type Test } from 'tap';
import { createOrganisation } from '../src/api/organisations.ts';
import { call, openApplication, type TestAnswer, userAction } from './support/application.ts';

const application = await openApplication(t);
const { account } = application;

function isError(t: Test, answer: TestAnswer, status: number, message: RegExp | string, name: string): void {
  t.equal(answer.status, status, name);
  t.match(answer.body, { error: { id: /^[0-9a-f-]{36}$/, status, message, details: { code: /^[A-Z_]+$/ } } }, name);
  t.equal(answer.body.message, answer.body.error.message, name);
  t.same(Object.keys(answer.body), ['error', 'message'], name);
  t.notMatch(JSON.stringify(answer.body), /at .*\(|\.ts:|node_modules/, name);
  t.match(answer.headers['content-type'], /^application\/json/, name);
}

t.test('whoever has no valid token learns nothing but that', async (t) => {
  const tokens = {
    'no token': undefined,
    'another scheme': { authorization: 'Basic YTpi' },
    'an empty token': { authorization: 'Bearer ' },
    'no token of ours': { authorization: 'Bearer abc' },
    'another secret part': { authorization: `Bearer ${account.authToken.slice(0, -43)}${'A'.repeat(43)}` },
    'a changed claim': { authorization: `Bearer ${account.authToken.replace('.', '.A')}` },
    'a token and more': { authorization: `Bearer ${account.authToken} x` },
  };
  for (const [name, headers] of Object.entries(tokens)) {
    for (const path of ['/keys', '/auth/action/init', '/auth/action', '/keys/k/signatures']) {
      const answer = await call(application, undefined, 'POST', path, '{}', headers);
      isError(t, answer, 401, 'Not Authorized.', `${name} ${path}`);
    }
  }
});

t.test('a token that was switched off, has expired, or whose account was switched off is refused', async (t) => {
  const init = '{"userActionPayload":"","userActionHttpMethod":"POST","userActionHttpPath":"/keys"}';
  for (const statement of [
    'update access_token set active = false where service_account = $1',
    'update service_account set active = false where id = $1',
  ]) {
    const other = await application.newAccount();
    t.equal((await call(application, other, 'POST', '/auth/action/init', init)).status, 200);
    await application.pool.query(statement, [other.userId]);
    isError(t, await call(application, other, 'POST', '/auth/action/init', init), 401, 'Not Authorized.', statement);
  }
  const pem =
    '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n-----END PUBLIC KEY-----\n';
  const expired = await createOrganisation(application.pool, {
    name: 'Old',
    credentialPublicKey: pem,
    tokenDays: 1,
    now: () => Date.now() - 86_400_000 - 1000,
  });
  isError(t, await call(application, expired, 'POST', '/auth/action/init', init), 401, 'Not Authorized.', 'expired');
});

t.test('unknown paths and wrong methods are answered in JSON', async (t) => {
  for (const [method, path] of [
    ['GET', '/'],
    ['PATCH', '/keys'],
    ['PUT', '/auth/action'],
    ['DELETE', '/keys'],
    ['GET', '/keys/%00'],
    ['GET', '/keys/a/b/c/d?x=1'],
    ['GET', '/%zz'],
    ['GET', `/keys/${'k'.repeat(300)}/signatures/s`],
  ] as const) {
    const answer = await call(application, account, method, path);
    isError(t, answer, path === '/%zz' || path.length > 100 ? 400 : 404, /./, `${method} ${path.slice(0, 40)}`);
  }
});

t.test('bodies that are not exactly JSON as described are refused before anything else is looked at', async (t) => {
  const bodies = {
    empty: '',
    'no JSON': '{',
    'a trailing comma': '{"scheme":"ECDSA",}',
    'not UTF-8': Buffer.from([0x22, 0xff, 0x22]),
    'a byte order mark': '\ufeff{}',
    'no object': '"x"',
    null: 'null',
    'a missing member': '{"scheme":"ECDSA"}',
    'an unknown member': '{"scheme":"ECDSA","curve":"secp256k1","more":1}',
    'a member twice': '{"scheme":"ECDSA","curve":"secp256k1","curve":"ed25519"}',
    'a member twice, written differently': '{"scheme":"ECDSA","curve":"secp256k1","\\u0063urve":"secp256k1"}',
    __proto__: '{"scheme":"ECDSA","curve":"secp256k1","__proto__":{"name":"x"}}',
    'NUL in a text': '{"scheme":"ECDSA","curve":"secp256k1","name":"a\\u0000b"}',
    'half a surrogate pair': '{"scheme":"ECDSA","curve":"secp256k1","name":"\\ud800"}',
    'an empty name': '{"scheme":"ECDSA","curve":"secp256k1","name":""}',
    'a name that is too long': `{"scheme":"ECDSA","curve":"secp256k1","name":"${'x'.repeat(101)}"}`,
    'nested without end': `${'['.repeat(200_000)}${']'.repeat(200_000)}`,
    'another type': '{"scheme":"ECDSA","curve":"secp256k1","name":1}',
  };
  for (const [name, body] of Object.entries(bodies)) {
    isError(t, await call(application, account, 'POST', '/keys', body), 400, /^The request is not valid: /, name);
  }
  const texts = await call(application, account, 'POST', '/keys', '{}', { 'content-type': 'text/plain' });
  isError(t, texts, 400, /./, 'another content type');
  const big = await call(application, account, 'POST', '/keys', `"${'x'.repeat(1024 * 1024)}"`);
  isError(t, big, 413, 'The request body is too large', 'more than a megabyte');
});

t.test('a call that changes something needs its user action', async (t) => {
  const payload = '{"scheme":"ECDSA","curve":"secp256k1"}';
  const missing = await call(application, account, 'POST', '/keys', payload);
  isError(t, missing, 403, /^user action signature is missing or invalid/, 'missing');
  const token = await userAction(application, account, 'POST', '/keys', payload);
  const other = payload.replace('ECDSA', 'EdDSA').replace('secp256k1', 'ed25519');
  const moved = await call(application, account, 'POST', '/keys', other, { 'x-dfns-useraction': token });
  isError(t, moved, 403, /another method, path or body/, 'for another body');
  const stranger = await application.newAccount();
  const stolen = await call(application, stranger, 'POST', '/keys', payload, { 'x-dfns-useraction': token });
  isError(t, stolen, 403, /the token is not valid/, 'of another account');
  t.same(application.queue.submitted, []);
});

t.test('a user action needs an active credential of the account', async (t) => {
  const stranger = await application.newAccount();
  const wrong = { ...account, credentialId: stranger.credentialId, privateKey: stranger.privateKey };
  t.equal(await userAction(application, wrong, 'POST', '/keys', ''), undefined);
  const otherKey = { ...account, privateKey: stranger.privateKey };
  t.equal(await userAction(application, otherKey, 'POST', '/keys', ''), undefined, 'signed with another key');
  t.equal(typeof (await userAction(application, stranger, 'POST', '/keys', '')), 'string');
  await application.pool.query('update credential set active = false where id = $1', [stranger.credentialId]);
  t.equal(await userAction(application, stranger, 'POST', '/keys', ''), undefined, 'switched off');
});

t.test('other kinds of credentials and second factors are called unsupported', async (t) => {
  const assertion = { credId: 'x', clientData: 'x', signature: 'x' };
  const webauthn = {
    challengeIdentifier: 'x',
    firstFactor: { kind: 'Fido2', credentialAssertion: { ...assertion, authenticatorData: 'x' } },
  };
  const second = {
    challengeIdentifier: 'x',
    firstFactor: { kind: 'Key', credentialAssertion: assertion },
    secondFactor: {},
  };
  for (const body of [webauthn, second]) {
    isError(
      t,
      await call(application, account, 'POST', '/auth/action', JSON.stringify(body)),
      400,
      /^Not supported/,
      '',
    );
  }
  const forged = { challengeIdentifier: 'a.b', firstFactor: { kind: 'Key', credentialAssertion: assertion } };
  isError(
    t,
    await call(application, account, 'POST', '/auth/action', JSON.stringify(forged)),
    400,
    'Challenge token is not valid.',
    '',
  );
});

t.test('every answer says that it is for this caller, over TLS, and only JSON', async (t) => {
  const answers = [
    await call(application, account, 'GET', '/nothing'),
    await call(application, account, 'GET', '/%zz'),
    await call(application, undefined, 'POST', '/keys', '{}'),
    await call(
      application,
      account,
      'POST',
      '/auth/action/init',
      '{"userActionPayload":"","userActionHttpMethod":"POST","userActionHttpPath":"/keys"}',
    ),
  ];
  for (const { headers } of answers) {
    t.match(headers, {
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'strict-transport-security': /max-age=\d+/,
    });
  }
});

t.test('what is not HTTP, and headers that are too large, are answered in JSON too', async (t) => {
  await application.server.listen({ host: '127.0.0.1', port: 0 });
  const { port } = application.server.server.address() as AddressInfo;
  for (const [request, status] of [
    ['HELLO\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nhost: x\r\nx-large: ${'x'.repeat(17_000)}\r\n\r\n`, 431],
  ] as const) {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(application.caFile) });
    socket.write(request);
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
    t.match(head, new RegExp(`^HTTP/1.1 ${status} `));
    t.match(head, /cache-control: no-store/);
    t.match(JSON.parse(body), { error: { status, message: /^The request is not valid/ } });
  }
});

t.test('while the database is gone, callers are asked to come back, and nothing is told of where it is', async (t) => {
  await application.databases.stop();
  const answer = await call(application, account, 'POST', '/keys', '{}');
  isError(t, answer, 503, 'The database cannot be reached', '');
  t.match(answer.headers, { 'retry-after': /^\d+$/ });
  await application.databases.restart();
  t.equal((await call(application, account, 'POST', '/keys', '{}')).status, 400);
});
