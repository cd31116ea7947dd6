import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { globalAgent } from 'node:https';
import type { AddressInfo } from 'node:net';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import t from 'tap';
import { createOrganisation } from '../src/api/organisations.ts';
import { openApplication } from './support/application.ts';

/** Every kind of credential key that the official key signer can sign user actions with, as it is from the registry. */
const application = await openApplication(t);
await application.server.listen({ host: '127.0.0.1', port: 0 });
globalAgent.options.ca = readFileSync(application.caFile);
const baseUrl = `https://127.0.0.1:${(application.server.server.address() as AddressInfo).port}`;
const publicKey = `02${'79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'}`;

application.queue.outcome = async (request) => {
  await application.addKey(request.requester.organisation, request.id, request.type, publicKey);
  return { state: 'made' };
};

const kinds: Readonly<Record<string, () => { publicKey: KeyObject; privateKey: KeyObject }>> = {
  Ed25519: () => generateKeyPairSync('ed25519'),
  Ed448: () => generateKeyPairSync('ed448'),
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  'P-521': () => generateKeyPairSync('ec', { namedCurve: 'secp521r1' }),
  secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  RSA: () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
  'RSA-PSS': () => generateKeyPairSync('rsa-pss', { modulusLength: 3072 }),
};

async function clientWith(registered: KeyObject, signing: KeyObject): Promise<DfnsApiClient> {
  const credentialPublicKey = String(registered.export({ type: 'spki', format: 'pem' }));
  const { orgId, authToken, credentialId } = await createOrganisation(application.pool, {
    name: 'Test',
    credentialPublicKey,
  });
  const privateKey = String(signing.export({ type: 'pkcs8', format: 'pem' }));
  return new DfnsApiClient({
    baseUrl,
    orgId,
    authToken,
    signer: new AsymmetricKeySigner({ credId: credentialId, privateKey }),
  });
}

for (const [kind, generate] of Object.entries(kinds)) {
  t.test(
    `the official key signer authorises with a ${kind} credential, and not with another key of that kind`,
    async (t) => {
      const [pair, other] = [generate(), generate()];
      const body = { scheme: 'ECDSA', curve: 'secp256k1' } as const;
      const client = await clientWith(pair.publicKey, pair.privateKey);
      t.equal((await client.keys.createKey({ body })).publicKey, publicKey);
      const thief = await clientWith(pair.publicKey, other.privateKey);
      await t.rejects(thief.keys.createKey({ body }), { name: 'DfnsError', message: /user action signature/ });
    },
  );
}
