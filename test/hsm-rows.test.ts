import { randomBytes } from 'node:crypto';
import t from 'tap';
import { curves } from '../src/shared/keys.ts';
import type { WrappedKey } from '../src/worker/wrapped-key.ts';
import { keyType, makeKey, open } from './support/open-hsm.ts';
import { createKeyStore } from './support/soft-token.ts';

/** What a writer in the driver database can do with rows: make keys unusable, never more. */
const store = await createKeyStore(t);
const hsm = await open(store, store.slots[0]);
t.teardown(() => hsm.stop());

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 0x80, at);
  return copy;
}
const digest = randomBytes(32);
const request = [{ requestId: 'sig-1', digests: [digest] }];

t.test('the tag holds for the row it was made for, and for no row changed in any field', async (t) => {
  const [key, second] = [await makeKey(hsm, 'secp256k1'), await makeKey(hsm, 'secp256k1')];
  const changed: Record<string, WrappedKey> = {
    keyId: { ...key, keyId: 'key-other' },
    requestId: { ...key, requestId: 'key-other' },
    keyStore: { ...key, keyStore: 'other' },
    organisation: { ...key, organisation: 'or-thief' },
    type: { ...key, type: keyType('P-256') },
    publicKey: { ...key, publicKey: second.publicKey },
    blob: { ...key, blob: second.blob },
    'public key and blob': { ...key, publicKey: second.publicKey, blob: second.blob },
    wrapAlgorithm: { ...key, wrapAlgorithm: 'RFC3394' },
    wrapMechanism: { ...key, wrapMechanism: 0x2109 },
    masterKeyId: { ...key, masterKeyId: 'mk-aaaaaaaaaaaaaaaa' },
    integrityKeyId: { ...key, integrityKeyId: 'ik-aaaaaaaaaaaaaaaa' },
    allowedKinds: { ...key, allowedKinds: ['Hash'] },
    status: { ...key, status: 'broken' },
    tag: { ...key, tag: flipped(key.tag, 31) },
    'another row’s tag': { ...key, tag: second.tag },
    'a tag cut short': { ...key, tag: key.tag.subarray(0, 16) },
    'no tag': { ...key, tag: Buffer.alloc(0) },
  };
  const answers = await hsm.checkTags([key, ...Object.values(changed), second]);
  const found = answers.map((answer) => answer.ok && answer.value);
  t.same(found, [true, ...Object.keys(changed).map(() => false), true], Object.keys(changed).join(', '));
});

for (const curve of curves) {
  t.test(`a damaged ${curve} blob fails its own requests; its neighbours in the batch sign`, async (t) => {
    const [good, bad, alsoGood] = [await makeKey(hsm, curve), await makeKey(hsm, curve), await makeKey(hsm, 'P-256')];
    const damaged: readonly Buffer[] = [
      flipped(bad.blob, 0),
      flipped(bad.blob, bad.blob.length - 1),
      bad.blob.subarray(0, bad.blob.length - 8),
      bad.blob.subarray(0, bad.blob.length - 3),
      randomBytes(bad.blob.length),
      Buffer.alloc(0),
    ];
    const answers = await hsm.sign([
      { key: good, requests: request },
      ...damaged.map((blob) => ({ key: { ...bad, blob }, requests: [...request, ...request] })),
      { key: alsoGood, requests: request },
    ]);
    const unusable = {
      ok: false,
      code: 'KEY_UNUSABLE',
      device: 'healthy',
      retryable: false,
      message: new RegExp(bad.keyId),
    };
    t.match(answers[0], [{ ok: true }]);
    t.match(answers.at(-1), [{ ok: true }]);
    for (const answer of answers.slice(1, -1)) t.match(answer, [unusable, unusable]);
    t.match(await hsm.probe(), { ok: true }, 'and the device is well');
  });
}

t.test('a row whose public key is another’s gets no signature out of the driver', async (t) => {
  for (const curve of curves) {
    const [key, other] = [await makeKey(hsm, curve), await makeKey(hsm, curve)];
    const [answer] = await hsm.sign([{ key: { ...key, publicKey: other.publicKey }, requests: request }]);
    t.match(answer, [{ ok: false, code: 'SIGNATURE_INVALID', device: 'suspect', retryable: true }], curve);
  }
});

t.test('a blob under another curve does not sign, and the device is well', async (t) => {
  for (const of of curves) {
    const key = await makeKey(hsm, of);
    for (const as of curves.filter((one) => one !== of)) {
      const [answer] = await hsm.sign([{ key: { ...key, type: keyType(as) }, requests: request }]);
      t.match(answer, [{ ok: false, code: /^(KEY_UNUSABLE|SIGNATURE_INVALID)$/ }], `${of} as ${as}`);
    }
  }
  t.match(await hsm.probe(), { ok: true });
});
