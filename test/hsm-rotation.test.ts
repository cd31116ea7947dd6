import { randomBytes } from 'node:crypto';
import t from 'tap';
import { curves } from '../src/shared/keys.ts';
import type { WrappedKey } from '../src/worker/wrapped-key.ts';
import { makeKey, open, value } from './support/open-hsm.ts';
import { createRotationStore } from './support/rotation-store.ts';

/** From the old master key to the new one, on real tokens: each slot is opened as its worker does. */
const store = await createRotationStore(t);
const [a, b] = store.slots;
const before = { ceremony: store.ceremony, further: [store.next] };
const after = { ceremony: store.next, further: [store.ceremony] };
const request = [{ requestId: 'sig-1', digests: [randomBytes(32)] }];

let old: WrappedKey[] = [];
let rewrapped: WrappedKey[] = [];

t.test('a signing slot proves both keys, and makes new keys under the current one', async (t) => {
  const hsm = await open(before, a);
  t.teardown(() => hsm.stop());
  t.match(hsm.keys, [
    { kind: 'master', id: store.ceremony.masterKey.id, proven: true },
    { kind: 'master', id: store.next.masterKey.id, proven: true },
    { kind: 'integrity', proven: true },
  ]);
  t.equal(store.next.integrityKey.id, store.ceremony.integrityKey.id, 'the integrity key stays');
  t.equal(store.next.attestationKey.publicKey, store.ceremony.attestationKey.publicKey, 'so does the attestation key');
  old = await Promise.all(curves.map((curve) => makeKey(hsm, curve)));
  for (const key of old) t.equal(key.masterKeyId, store.ceremony.masterKey.id);
  await hsm.stop();
});

t.test('a rotation slot re-wraps keys of every curve; each new row is proven and tagged', async (t) => {
  const hsm = await open(after, store.rotation, 'rotation');
  t.teardown(() => hsm.stop());
  t.match(hsm.keys.slice(0, 2), [
    { kind: 'master', id: store.next.masterKey.id, proven: true },
    { kind: 'rotation', id: store.ceremony.masterKey.id, proven: true },
  ]);
  rewrapped = (await hsm.rewrap(old)).map(value);
  for (const [at, row] of rewrapped.entries()) {
    const from = old[at];
    if (from === undefined) throw new Error('no such row');
    const { blob, tag, masterKeyId } = row;
    t.same({ ...row, blob: 0, tag: 0, masterKeyId: 0 }, { ...from, blob: 0, tag: 0, masterKeyId: 0 });
    t.equal(masterKeyId, store.next.masterKey.id);
    t.notOk(blob.equals(from.blob) || tag.equals(from.tag));
  }
  t.match(
    await hsm.checkTags(rewrapped),
    rewrapped.map(() => ({ ok: true, value: true })),
  );
  t.match(
    await hsm.rewrap([rewrapped[0] as WrappedKey]),
    [{ ok: false, device: 'healthy' }],
    'there is no way back here',
  );

  const [first, second] = old as [WrappedKey, WrappedKey];
  const bad = [
    { ...first, status: 'broken' as const },
    { ...first, blob: second.blob },
    { ...first, keyStore: 'other' },
  ];
  t.match(
    await hsm.rewrap(bad),
    bad.map(() => ({ ok: false, code: 'KEY_UNUSABLE', device: 'healthy' })),
    'a row that was changed is not carried over',
  );
  await hsm.stop();
});

t.test('another signing slot signs with old and new rows alike', async (t) => {
  const hsm = await open(after, b);
  t.teardown(() => hsm.stop());
  const answers = await hsm.sign([...old, ...rewrapped].map((key) => ({ key, requests: request })));
  t.match(
    answers,
    answers.map(() => [{ ok: true }]),
  );
  const made = await makeKey(hsm, 'secp256k1');
  t.equal(made.masterKeyId, store.next.masterKey.id);
  t.match(
    await hsm.rewrap(old),
    old.map(() => ({ ok: false })),
    'a signing slot re-wraps nothing',
  );
  await hsm.stop();
});

t.test('a rotation token is no signing slot for the old key, and a signing token no rotation slot', async (t) => {
  const asSigning = await open(after, store.rotation);
  t.teardown(() => asSigning.stop());
  t.match(asSigning.keys[1], { kind: 'master', proven: false, why: /CKA_WRAP is false/ });
  await asSigning.stop();
  const asRotation = await open(after, a, 'rotation');
  t.teardown(() => asRotation.stop());
  t.match(asRotation.keys[1], { kind: 'rotation', proven: false, why: /CKA_WRAP is true/ });
  await asRotation.stop();
});
