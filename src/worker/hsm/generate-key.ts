import { randomBytes } from 'node:crypto';
import { attestationDigest } from '../../shared/crypto/attestation.ts';
import { tagMessage, type WrappedKey } from '../wrapped-key.ts';
import type { GeneratedKey, GenerateKeyJob } from './jobs.ts';
import { signVerified } from './sign-verified.ts';
import type { Workbench } from './workbench.ts';

/**
 * Makes a wallet key (design 4). It exists outside the HSM only as the blob; the extractable original is destroyed as
 * soon as C_WrapKey returns. Nobody is given a public key before its blob has opened again and signed for it.
 * @throws Pkcs11Fault, SIGNATURE_INVALID
 */
export function generateKey(bench: Workbench, job: GenerateKeyJob): GeneratedKey {
  const { session, ceremony } = bench;
  const { curve } = job.type;
  const made = session.withNewKey(curve, (privateKey, publicKey) => ({ publicKey, blob: session.wrap(privateKey) }));
  session.withUnwrapped(curve, made.blob, (key) => signVerified(session, curve, key, made.publicKey, randomBytes(32)));
  const untagged: Omit<WrappedKey, 'tag'> = {
    keyId: job.keyId,
    requestId: job.requestId,
    keyStore: ceremony.keyStore,
    organisation: job.organisation,
    type: job.type,
    publicKey: made.publicKey,
    blob: made.blob,
    wrapAlgorithm: ceremony.masterKey.wrapAlgorithm,
    wrapMechanism: session.wrapMethod.mechanism,
    masterKeyId: ceremony.masterKey.id,
    integrityKeyId: ceremony.integrityKey.id,
    allowedKinds: job.allowedKinds ?? [],
    status: 'active',
  };
  const attested = {
    keyStore: ceremony.keyStore,
    organisation: job.organisation,
    keyId: job.keyId,
    requestId: job.requestId,
    type: job.type,
    publicKey: made.publicKey,
  };
  return {
    key: { ...untagged, tag: session.hmac(tagMessage(untagged)) },
    attestation: bench.attest(attestationDigest(attested)).toString('base64url'),
  };
}
