import { readFileSync } from 'node:fs';
import { globalAgent } from 'node:https';
import type { AddressInfo } from 'node:net';
import { DfnsApiClient, DfnsDelegatedApiClient, DfnsError } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { openApplication } from './support/application.ts';

/** The official SDK, unmodified, over HTTPS. */
const application = await openApplication(t);
const { account, queue } = application;
await application.server.listen({ host: '127.0.0.1', port: 0 });
// What NODE_EXTRA_CA_CERTS does for a process; the SDK has no option of its own.
globalAgent.options.ca = readFileSync(application.caFile);
const privateKey = Buffer.alloc(32, 0x46);
const publicKey = Buffer.from(secp256k1.getPublicKey(privateKey)).toString('hex');

queue.outcome = async (request) => {
  if (request.kind === 'GenerateKey') {
    await application.addKey(account.orgId, request.id, request.type, publicKey);
    return { state: 'made' };
  }
  const signed = secp256k1.sign(request.digests?.[0] ?? Buffer.alloc(0), privateKey, {
    prehash: false,
    format: 'recovered',
  });
  const rs = Buffer.from(signed.subarray(1)).toString('hex');
  return { state: 'signed', signatures: [{ rs, recid: signed[0] as 0 | 1 }], doneAt: new Date() };
};

const options = {
  baseUrl: `https://127.0.0.1:${(application.server.server.address() as AddressInfo).port}`,
  orgId: account.orgId,
  authToken: account.authToken,
};
const signer = new AsymmetricKeySigner({
  credId: account.credentialId,
  privateKey: String(account.privateKey.export({ type: 'pkcs8', format: 'pem' })),
});
const client = new DfnsApiClient({ ...options, signer });

t.test('the official SDK makes a key, signs with it and reads the signature', async (t) => {
  const key = await client.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1', name: 'é-test' } });
  t.equal(key.publicKey, publicKey);
  const hash = `0x${'ab'.repeat(32)}`;
  const request = await client.keys.generateSignature({
    keyId: key.id,
    body: { kind: 'Hash', hash, externalId: 'é 1' },
  });
  t.equal(request.status, 'Signed');
  const { r = '', s = '' } = request.signature ?? {};
  const rs = Buffer.from(r.slice(2) + s.slice(2), 'hex');
  t.ok(secp256k1.verify(rs, Buffer.alloc(32, 0xab), Buffer.from(publicKey, 'hex'), { prehash: false }));
  t.same(await client.keys.getSignature({ keyId: key.id, signatureId: request.id }), request);
});

t.test('a user action may be signed apart from the client that calls', async (t) => {
  const delegated = new DfnsDelegatedApiClient(options);
  const body = { scheme: 'ECDSA', curve: 'secp256k1' } as const;
  const challenge = await delegated.keys.createKeyInit({ body });
  const firstFactor = await signer.sign(challenge);
  const key = await delegated.keys.createKeyComplete(
    { body },
    { challengeIdentifier: challenge.challengeIdentifier, firstFactor },
  );
  t.equal(key.publicKey, publicKey);
});

t.test('refusals reach the caller as DfnsError with status and message', async (t) => {
  const keyId = 'key-aaaaa-bbbbb-cccccccccccccccc';
  const unknown = { httpStatus: 404, message: /^Not found: / };
  t.match(await thrownBy(client.keys.getSignature({ keyId, signatureId: 'sig-1' })), unknown);
  t.match(
    await thrownBy(client.keys.generateSignature({ keyId, body: { kind: 'Hash', hash: 'ab'.repeat(32) } })),
    unknown,
  );
  const stranger = new DfnsApiClient({
    ...options,
    authToken: `${account.authToken.slice(0, -43)}${'A'.repeat(43)}`,
    signer,
  });
  const error = await thrownBy(stranger.keys.getSignature({ keyId, signatureId: 'sig-1' }));
  t.ok(error instanceof DfnsError);
  t.match(error, { httpStatus: 401, message: 'Not Authorized.' });
});

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return error;
  }
}
