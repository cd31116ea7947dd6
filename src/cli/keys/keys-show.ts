import { readCeremonyFile } from '../../shared/ceremony-file.ts';
import { attestationHolds, attestationPublicKey } from '../../shared/crypto/attestation.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { findKey, type KeyFacts, type KeyUse, keyUse } from './stored-keys.ts';

export const command: Command = {
  name: 'keys show',
  summary: 'show one key: its row, whether an HSM of the key store attests its public key, and how it was used',
  example: 'hsm-driver keys show --config node-1.yaml --key key-abcde-fghij-klmnopqrstuvwxyz',
  options: [
    { name: 'key', summary: 'id of the key', required: true, kind: 'text' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const keyId = text.get('key') ?? '';
    await withDriverDatabase(config, 'keys show', async (pool, { ceremonyFile }) => {
      const key = await findKey(pool, keyId);
      if (key === undefined) throw new CodedError('KEY_NOT_IN_STORE', `key ${keyId}`);
      const pinned = attestationPublicKey(readCeremonyFile(ceremonyFile).attestationKey.publicKey);
      const attested = attestationHolds(pinned, key, key.attestation);
      const use = await keyUse(pool, keyId);
      process.stdout.write(
        switches.has('json') ? `${JSON.stringify({ ...key, attested, use })}\n` : shown(key, attested, use),
      );
      if (!attested)
        throw new CodedError('KEY_UNUSABLE', `no HSM of this key store attests the public key of ${keyId}`);
    });
  },
};

function shown(key: KeyFacts, attested: boolean, { signatures, lastSignedAt }: KeyUse): string {
  const lines: readonly (readonly [string, string])[] = [
    ['key', key.keyId],
    ['organisation', key.organisation],
    ['key store', key.keyStore],
    ['type', `${key.type.scheme}/${key.type.curve}`],
    ['public key', key.publicKey],
    ['status', key.status],
    ['signs', key.allowedKinds.length === 0 ? 'every kind' : key.allowedKinds.join(', ')],
    ['made at', `${key.createdAt.toISOString()} by request ${key.requestId}`],
    ['wrapped by', `${key.masterKeyId} with ${key.wrapAlgorithm}`],
    ['row tagged by', key.integrityKeyId],
    ['attestation', attested ? 'holds: an HSM of this key store made the public key' : 'DOES NOT HOLD'],
    [
      'signatures',
      lastSignedAt === null
        ? 'none in the journal'
        : `${signatures} in the journal, the last at ${lastSignedAt.toISOString()}`,
    ],
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}
