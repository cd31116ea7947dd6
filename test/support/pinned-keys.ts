import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { CeremonyFile } from '../../src/shared/ceremony-file.ts';

/** A protocol file that pins this attestation key, for commands that need no more of it: there is no token behind it. */
export function writePinnedKeys(
  file: string,
  keyStore: string,
  attestationKey: KeyObject = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
): void {
  const { x = '', y = '' } = attestationKey.export({ format: 'jwk' });
  const point = `04${[x, y].map((half) => Buffer.from(half, 'base64url').toString('hex')).join('')}`;
  const ceremony: CeremonyFile = {
    version: 2,
    keysFrom: 'backup token',
    keyStore,
    createdAt: '2026-01-01T00:00:00.000Z',
    masterKey: {
      id: 'mk-aaaaaaaaaaaaaaaa',
      label: 'master',
      ckaId: '01',
      wrapAlgorithm: 'RFC5649',
      wrapMechanism: 0x210a,
    },
    integrityKey: { id: 'ik-aaaaaaaaaaaaaaaa', label: 'integrity', ckaId: '02', algorithm: 'HMAC-SHA-256' },
    attestationKey: { publicKey: point, blob: '' },
    canaries: [{ curve: 'P-256', publicKey: point, blob: '' }],
    tokens: [],
    steps: [],
    explanations: [],
  };
  writeFileSync(file, JSON.stringify(ceremony));
}
