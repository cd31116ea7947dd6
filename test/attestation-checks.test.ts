import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { createAttestationChecks } from '../src/api/attestation-checks.ts';
import { type AttestedKey, attestationPublicKey } from '../src/shared/crypto/attestation.ts';
import { attest, keyStore, uncompressed } from './support/application.ts';

const attestationKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pinned = new Map([[keyStore, attestationPublicKey(uncompressed(attestationKey.publicKey))]]);
const key: AttestedKey = {
  keyStore,
  organisation: 'or-1',
  keyId: 'key-1',
  requestId: 'key-1',
  type: { scheme: 'ECDSA', curve: 'secp256k1' },
  publicKey: `02${'ab'.repeat(32)}`,
};
const attestation = attest(attestationKey.privateKey, key);

t.test('what held once is known, and anything else about it is checked anew', async (t) => {
  const checks = createAttestationChecks(pinned);
  t.ok(checks.hold(key, attestation));
  t.ok(checks.hold(key, attestation));
  const changes: Partial<AttestedKey>[] = [
    { organisation: 'or-2' },
    { keyId: 'key-2' },
    { requestId: 'key-2' },
    { type: { scheme: 'EdDSA', curve: 'ed25519' } },
    { publicKey: `03${'ab'.repeat(32)}` },
    { keyStore: 'other' },
    { organisation: 'or-1","key-1', keyId: '' },
  ];
  for (const change of changes) t.notOk(checks.hold({ ...key, ...change }, attestation), JSON.stringify(change));
  t.notOk(checks.hold(key, attest(attestationKey.privateKey, { ...key, keyId: 'key-2' })));
  t.notOk(checks.hold(key, ''));
  t.notOk(
    createAttestationChecks(new Map([[keyStore, generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey]])).hold(
      key,
      attestation,
    ),
    'another pinned key',
  );
});

t.test('what was forgotten is checked again, and holds as before', async (t) => {
  const checks = createAttestationChecks(pinned, 2);
  const keys = ['key-1', 'key-2', 'key-3'].map((keyId) => ({ ...key, keyId }));
  for (const round of [1, 2])
    for (const one of keys) t.ok(checks.hold(one, attest(attestationKey.privateKey, one)), `round ${round}`);
});
