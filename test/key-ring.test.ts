import t from 'tap';
import type { CeremonyFile } from '../src/shared/ceremony-file.ts';
import { createKeyRing, integrityKeysOf, masterKeysOf } from '../src/shared/key-ring.ts';

/** The keys that are alive at once: what ceremony files may say of each other. */
const point = `04${'ab'.repeat(64)}`;
function file(masterKey: string, integrityKey: string, change: Partial<CeremonyFile> = {}): CeremonyFile {
  return {
    version: 2,
    keysFrom: 'backup token',
    keyStore: 'store',
    createdAt: '2026-01-01T00:00:00.000Z',
    masterKey: { id: masterKey, label: 'master', ckaId: '01', wrapAlgorithm: 'RFC5649', wrapMechanism: 0x210a },
    integrityKey: { id: integrityKey, label: 'integrity', ckaId: '02', algorithm: 'HMAC-SHA-256' },
    attestationKey: { publicKey: point, blob: '' },
    canaries: [],
    tokens: [],
    steps: [],
    explanations: [],
    ...change,
  };
}

t.test('each key is listed once, the current ones first', async (t) => {
  const ring = createKeyRing(file('mk-new', 'ik-a'), [file('mk-old', 'ik-a'), file('mk-new', 'ik-b')]);
  t.same(
    masterKeysOf(ring).map(({ masterKey }) => masterKey.id),
    ['mk-new', 'mk-old'],
  );
  t.same(
    integrityKeysOf(ring).map(({ integrityKey }) => integrityKey.id),
    ['ik-a', 'ik-b'],
  );
});

t.test('files that contradict each other are refused', async (t) => {
  const current = file('mk-a', 'ik-a');
  const cases: [string, CeremonyFile, RegExp][] = [
    ['another key store', file('mk-b', 'ik-a', { keyStore: 'other' }), /key store other, not store/],
    [
      'another attestation key',
      file('mk-b', 'ik-a', { attestationKey: { publicKey: `04${'cd'.repeat(64)}`, blob: '' } }),
      /another attestation key/,
    ],
    [
      'one id for two keys',
      file('mk-a', 'ik-b', { masterKey: { ...current.masterKey, ckaId: '03' } }),
      /describes mk-a otherwise/,
    ],
    ['the same file', current, /named twice/],
  ];
  for (const [name, further, detail] of cases) {
    t.throws(() => createKeyRing(current, [further]), { code: 'CONFIG_INVALID', detail }, name);
  }
});
