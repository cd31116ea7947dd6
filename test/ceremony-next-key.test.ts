import { join } from 'node:path';
import t from 'tap';
import { makeNextKey } from '../src/ceremony/next-key.ts';
import { nobody } from '../src/ceremony/people.ts';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { objectsOn } from './support/objects-on.ts';
import { createRotationStore, rotationCeremony } from './support/rotation-store.ts';
import { addToken, slotIn, temporaryDirectory } from './support/soft-token.ts';

/** The ceremony of a next key: what it puts where, and what it refuses before it changes anything. */
const store = await createRotationStore(t);
const configuration = rotationCeremony(store.slots, store.rotation, store.ceremonyFile);
const people = nobody(() => {});
const [a] = store.slots;

t.test('every token has both master keys, and only the backup token an extractable one', async (t) => {
  const labels = [store.ceremony.masterKey.label, store.next.masterKey.label, store.ceremony.integrityKey.label].sort();
  for (const slot of [...store.slots, store.rotation]) {
    t.same(await objectsOn(slot), labels, slot.name);
    t.same(await objectsOn(slot, CKA.EXTRACTABLE), ['00', '00', '00'], slot.name);
  }
  const backup = slotIn(`${store.ceremonyFile}.backup`, 'backup');
  t.same(await objectsOn(backup, CKA.EXTRACTABLE), ['01', '01', '01']);
});

t.test('the protocol of the new key says where it came from, and names the rotation token', async (t) => {
  t.match(store.next.steps[0], { step: 'next-master-key', fileBefore: /^[0-9a-f]{64}$/, attended: false });
  t.same(
    store.next.tokens.map(({ role }) => role),
    ['backup', 'rotation', 'signing', 'signing'],
  );
  t.ok(store.next.live?.rehearsal);
});

t.test('what would stop a rotation later is refused, and nothing is left on any token', async (t) => {
  const out = join(temporaryDirectory(t), 'next.json');
  const before = await objectsOn(a);
  const fresh = slotIn(temporaryDirectory(t), 'fresh');
  await addToken(fresh);
  const withFresh = rotationCeremony(store.slots, fresh, store.ceremonyFile);
  const cases: [string, () => Promise<unknown>, RegExp][] = [
    [
      'a signing token that is left out',
      () => makeNextKey({ ...withFresh, tokens: withFresh.tokens.slice(0, 1) }, 'master key', out, people),
      /signing token b \(.*\) is not in the configuration/,
    ],
    [
      'no rotation token',
      () => makeNextKey({ ...withFresh, rotation: undefined }, 'master key', out, people),
      /names no rotation token/,
    ],
    [
      'a used rotation token',
      () => makeNextKey(configuration, 'master key', out, people),
      /has an object “store master key” already/,
    ],
    ['a file that exists', () => makeNextKey(withFresh, 'master key', store.nextFile, people), /exists already/],
  ];
  for (const [name, refused, detail] of cases) {
    await t.rejects(refused(), { code: 'CEREMONY_REFUSED', detail }, name);
  }
  t.same(await objectsOn(a), before);
  t.same(await objectsOn(fresh), []);
});

t.test('the next integrity key comes to every token of the key store; the master key stays', async (t) => {
  const out = join(store.directory, 'next-integrity.json');
  await makeNextKey({ ...configuration, rotation: undefined }, 'integrity key', out, people);
  const next = readCeremonyFile(out);
  t.same(next.masterKey, store.ceremony.masterKey);
  t.same(next.canaries, store.ceremony.canaries);
  t.not(next.integrityKey.id, store.ceremony.integrityKey.id);
  for (const slot of store.slots) t.ok((await objectsOn(slot)).includes(next.integrityKey.label), slot.name);
  t.notOk((await objectsOn(store.rotation)).includes(next.integrityKey.label));
});
