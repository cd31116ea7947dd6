import { readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import { attestationHolds, attestationPublicKey } from '../../src/shared/crypto/attestation.ts';
import type { KeyType } from '../../src/shared/keys.ts';
import type { FaultSystem } from '../faults/fault-system.ts';
import type { History } from '../support/history-checker.ts';

/** What both databases hold when all is over. */
export async function writtenHistory(system: FaultSystem): Promise<Pick<History, 'api' | 'driver'>> {
  const requests = await system.query<{
    id: string;
    kind: 'GenerateKey' | 'Sign';
    state: string;
    externalId: string | null;
    keyId: string;
    signatures: readonly { readonly rs: string }[] | null;
  }>('api', 'select id, kind, state, external_id as "externalId", key_id as "keyId", signatures from request');
  const keys = await system.query<{
    id: string;
    organisation: string;
    keyStore: string;
    requestId: string;
    scheme: string;
    curve: string;
    publicKey: string;
    attestation: string;
  }>(
    'api',
    `select id, organisation, key_store as "keyStore", request_id as "requestId", scheme, curve,
       public_key as "publicKey", attestation from key`,
  );
  const journal = await system.query<{
    requestId: string;
    keyId: string;
    slot: string;
    payloadDigest: Buffer;
    signatures: readonly Buffer[];
  }>(
    'driver',
    `select request_id as "requestId", key_id as "keyId", slot, payload_digest as "payloadDigest", signatures
     from journal`,
  );
  const wrapped = await system.query<{ keyId: string; requestId: string; publicKey: Buffer }>(
    'driver',
    'select key_id as "keyId", request_id as "requestId", public_key as "publicKey" from wrapped_key',
  );
  const pinned = attestationPublicKey(readCeremonyFile(system.system.places.ceremonyFile).attestationKey.publicKey);
  return {
    api: {
      requests: requests.map((row) => ({ ...row, signatures: (row.signatures ?? []).map(({ rs }) => rs) })),
      keys: keys.map(({ scheme, curve, attestation, ...key }) => {
        const attested = { ...key, keyId: key.id, type: { scheme, curve } as KeyType };
        return { ...key, attested: attestationHolds(pinned, attested, attestation) };
      }),
    },
    driver: {
      journal: journal.map(({ payloadDigest, signatures, ...row }) => ({
        ...row,
        payloadDigest: payloadDigest.toString('hex'),
        signatures: signatures.map((one) => one.toString('hex')),
      })),
      keys: wrapped.map(({ publicKey, ...row }) => ({ ...row, publicKey: publicKey.toString('hex') })),
    },
  };
}
