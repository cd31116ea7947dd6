import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import t from 'tap';
import { possiblePayloads } from '../src/api/authentication/signed-payload.ts';
import { createUserActions } from '../src/api/authentication/user-action.ts';
import { CodedError } from '../src/shared/errors.ts';
import { challengeCovers, challengeExpiry, newChallenge } from '../src/shared/user-action/challenge.ts';
import { credentialPem, credentialSigned } from '../src/shared/user-action/credential-key.ts';

const secret = randomBytes(32);
const requester = { organisation: 'or-1', serviceAccount: 'us-1', accessToken: 'to-1' };
const signed = { method: 'POST', path: '/keys', payload: '{"a":1}' };
const received = { method: 'POST', path: '/keys', payloads: ['{"a":1}'] };
const { privateKey, publicKey } = generateKeyPairSync('ed25519');

function clock(start = 1_800_000_000_000) {
  let ms = start;
  return { now: () => ms, pass: (more: number) => (ms += more) };
}

function clientData(challenge: string, more: object = {}): Buffer {
  return Buffer.from(JSON.stringify({ type: 'key.get', challenge, ...more }));
}

function assertion(challengeIdentifier: string, data: Buffer, key: KeyObject = privateKey) {
  return {
    challengeIdentifier,
    credentialId: 'cr-1',
    clientData: data.toString('base64url'),
    signature: sign(null, data, key).toString('base64url'),
  };
}

const bySigner = async (_id: string, message: Buffer, signature: Buffer) =>
  credentialSigned(publicKey, message, signature);

async function refused(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
  return 'nothing';
}

async function signedToken(actions: ReturnType<typeof createUserActions>, request = signed): Promise<string> {
  const { challenge, challengeIdentifier } = actions.start(requester, request);
  return await actions.complete(requester, assertion(challengeIdentifier, clientData(challenge)), bySigner);
}

t.test('a signed user action authorises its request, on any process with the same secret', async (t) => {
  const here = createUserActions(secret);
  const elsewhere = createUserActions(secret);
  const { challenge, challengeIdentifier } = here.start(requester, signed);
  const data = clientData(challenge, { origin: 'https://app.example', crossOrigin: false });
  const token = await elsewhere.complete(requester, assertion(challengeIdentifier, data), bySigner);
  const { id, authorisation } = here.check(requester, token, received);
  t.match(id, /^[0-9a-f]{64}$/);
  t.same(authorisation, {
    method: 'POST',
    path: '/keys',
    payload: '{"a":1}',
    credentialId: 'cr-1',
    clientData: data.toString('base64url'),
    signature: sign(null, data, privateKey).toString('base64url'),
  });
});

t.test('the same challenge signed twice is one user action', async (t) => {
  const actions = createUserActions(secret);
  const { challenge, challengeIdentifier } = actions.start(requester, signed);
  const tokens = [];
  for (const more of [{}, { origin: 'x' }]) {
    tokens.push(
      await actions.complete(requester, assertion(challengeIdentifier, clientData(challenge, more)), bySigner),
    );
  }
  t.not(tokens[0], tokens[1]);
  t.equal(actions.check(requester, tokens[0], received).id, actions.check(requester, tokens[1], received).id);
  t.not(
    actions.check(requester, await signedToken(actions), received).id,
    actions.check(requester, tokens[0], received).id,
  );
});

t.test('another method, path or body than the signed one is refused', async (t) => {
  const actions = createUserActions(secret);
  const token = await signedToken(actions);
  for (const other of [
    { ...received, method: 'PUT' },
    { ...received, path: '/keys/' },
    { ...received, payloads: ['{"a":2}'] },
    { ...received, payloads: [''] },
    { ...received, payloads: [] },
    // The fields have lengths: one cannot grow into the other.
    { method: 'POS', path: 'T/keys', payloads: ['{"a":1}'] },
  ]) {
    t.equal(await refused(() => actions.check(requester, token, other)), 'USER_ACTION_MISSING', JSON.stringify(other));
  }
});

t.test('tokens are refused for another caller, another secret, another purpose, or after their time', async (t) => {
  const time = clock();
  const actions = createUserActions(secret, time.now);
  const { challenge, challengeIdentifier } = actions.start(requester, signed);
  const proof = assertion(challengeIdentifier, clientData(challenge));
  const token = await actions.complete(requester, proof, bySigner);
  const others = [
    { ...requester, organisation: 'or-2' },
    { ...requester, serviceAccount: 'us-2' },
    { ...requester, accessToken: 'to-2' },
  ];
  for (const other of others) {
    t.equal(await refused(() => actions.complete(other, proof, bySigner)), 'CHALLENGE_INVALID');
    t.equal(await refused(() => actions.check(other, token, received)), 'USER_ACTION_MISSING');
  }
  const stranger = createUserActions(randomBytes(32), time.now);
  t.equal(await refused(() => stranger.complete(requester, proof, bySigner)), 'CHALLENGE_INVALID');
  t.equal(await refused(() => stranger.check(requester, token, received)), 'USER_ACTION_MISSING');
  t.equal(await refused(() => actions.check(requester, challengeIdentifier, received)), 'USER_ACTION_MISSING');
  t.equal(
    await refused(() => actions.complete(requester, { ...proof, challengeIdentifier: token }, bySigner)),
    'CHALLENGE_INVALID',
  );

  time.pass(119_999);
  t.equal(await refused(() => actions.check(requester, token, received)), 'nothing');
  time.pass(1);
  t.equal(await refused(() => actions.check(requester, token, received)), 'USER_ACTION_MISSING');
  time.pass(180_000 - 1);
  t.equal(await refused(() => actions.complete(requester, proof, bySigner)), 'nothing');
  time.pass(1);
  t.equal(await refused(() => actions.complete(requester, proof, bySigner)), 'CHALLENGE_INVALID');
});

t.test('a token that was changed anywhere is refused', async (t) => {
  const actions = createUserActions(secret);
  const token = await signedToken(actions);
  const [content = '', seal = ''] = token.split('.');
  const claims = Buffer.from(content, 'base64url').toString();
  const forged = Buffer.from(claims.replace('cr-1', 'cr-2')).toString('base64url');
  for (const wrong of [
    '',
    '.',
    'a.b',
    content,
    `${forged}.${seal}`,
    `${content}.${seal.slice(2)}`,
    `${token}.x`,
    `.${seal}`,
  ]) {
    t.equal(await refused(() => actions.check(requester, wrong, received)), 'USER_ACTION_MISSING', wrong.slice(0, 20));
  }
  t.equal(await refused(() => actions.check(requester, undefined, received)), 'USER_ACTION_MISSING');
});

t.test('client data must be what the credential signs: its type, this challenge, these bytes', async (t) => {
  const actions = createUserActions(secret);
  const { challenge, challengeIdentifier } = actions.start(requester, signed);
  const other = actions.start(requester, signed).challenge;
  const wrong: Record<string, Buffer> = {
    'no JSON': Buffer.from('key.get'),
    'a list': Buffer.from('[]'),
    'another type': Buffer.from(JSON.stringify({ type: 'webauthn.get', challenge })),
    'no challenge': Buffer.from('{"type":"key.get"}'),
    'another challenge': clientData(other),
    'a challenge that decodes to the same bytes': clientData(`${challenge}=`),
  };
  for (const [name, data] of Object.entries(wrong)) {
    t.equal(
      await refused(() => actions.complete(requester, assertion(challengeIdentifier, data), bySigner)),
      'USER_ACTION_MISSING',
      name,
    );
  }
  const stranger = generateKeyPairSync('ed25519').privateKey;
  const byStranger = assertion(challengeIdentifier, clientData(challenge), stranger);
  t.equal(await refused(() => actions.complete(requester, byStranger, bySigner)), 'USER_ACTION_MISSING');
  const moved = {
    ...assertion(challengeIdentifier, clientData(challenge)),
    clientData: clientData(challenge, { more: 1 }).toString('base64url'),
  };
  t.equal(
    await refused(() => actions.complete(requester, moved, bySigner)),
    'USER_ACTION_MISSING',
    'signed over other bytes',
  );
});

t.test('a challenge holds 16 random bytes, its expiry and the hash of the request', async (t) => {
  const challenge = newChallenge(signed, 1_800_000_000_123);
  t.equal(Buffer.from(challenge, 'base64url').length, 56);
  t.equal(challengeExpiry(challenge), 1_800_000_000_123);
  t.ok(challengeCovers(challenge, signed));
  t.not(newChallenge(signed, 1_800_000_000_123), challenge);
  for (const wrong of ['', 'AAAA', `${challenge}A`, `${challenge}=`]) {
    t.equal(challengeExpiry(wrong), undefined);
    t.notOk(challengeCovers(wrong, signed));
  }
});

t.test('a secret shorter than 32 bytes is refused', async (t) => {
  t.throws(() => createUserActions(randomBytes(31)));
});

t.test('every kind of credential key that the SDKs use verifies, and only its own signature', async (t) => {
  const message = clientData('challenge');
  const pairs = {
    ed25519: [generateKeyPairSync('ed25519'), null, 64],
    ed448: [generateKeyPairSync('ed448'), null, 114],
    'P-256': [generateKeyPairSync('ec', { namedCurve: 'prime256v1' }), 'sha256', undefined],
    secp256k1: [generateKeyPairSync('ec', { namedCurve: 'secp256k1' }), 'sha256', undefined],
    'P-384': [generateKeyPairSync('ec', { namedCurve: 'secp384r1' }), 'sha256', undefined],
    'P-521': [generateKeyPairSync('ec', { namedCurve: 'secp521r1' }), 'sha256', undefined],
    RSA: [generateKeyPairSync('rsa', { modulusLength: 2048 }), 'sha256', 256],
    'RSA-PSS': [generateKeyPairSync('rsa-pss', { modulusLength: 2048 }), 'sha256', 256],
  } as const;
  for (const [name, [pair, hash, length]] of Object.entries(pairs)) {
    const registered = credentialPem(String(pair.publicKey.export({ type: 'spki', format: 'pem' })));
    t.match(registered, /^-----BEGIN PUBLIC KEY-----/, name);
    const signature = sign(hash, message, pair.privateKey);
    if (length !== undefined) t.equal(signature.length, length, name);
    t.ok(credentialSigned(pair.publicKey, message, signature), name);
    t.notOk(credentialSigned(pair.publicKey, Buffer.concat([message, message]), signature), name);
    for (const wrong of [Buffer.alloc(0), Buffer.alloc(signature.length), signature.subarray(1)]) {
      t.notOk(credentialSigned(pair.publicKey, message, wrong), name);
    }
  }
});

t.test('keys that cannot be credentials are refused', async (t) => {
  const spki = (key: KeyObject) => String(key.export({ type: 'spki', format: 'pem' }));
  const wrong = {
    nothing: '',
    'no PEM': 'AAAA',
    'a private key': String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    'a short RSA key': spki(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
    'another curve': spki(generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' }).publicKey),
    'a key that cannot sign': spki(generateKeyPairSync('x25519').publicKey),
    'a damaged key': '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
  };
  for (const [name, pem] of Object.entries(wrong))
    t.equal(await refused(() => credentialPem(pem)), 'CREDENTIAL_REFUSED', name);
});

t.test('a body that was written anew on its way still matches what was signed', async (t) => {
  const value = { name: 'é \u{1F511} \u007f "x"', count: 1, list: [true, null] };
  const compact = JSON.stringify(value);
  // json.dumps(value, separators=(',', ':')) of Python 3.
  const python = '{"name":"\\u00e9 \\ud83d\\udd11 \\u007f \\"x\\"","count":1,"list":[true,null]}';
  const spaced = JSON.stringify(value, null, 1);
  t.ok(possiblePayloads(spaced, value).includes(compact));
  t.ok(possiblePayloads(spaced, value).includes(python));
  t.equal(possiblePayloads(spaced, value)[0], spaced, 'first of all what arrived');
  t.same(possiblePayloads('', undefined), ['']);
  t.same(possiblePayloads('{}', {}), ['{}']);
});
