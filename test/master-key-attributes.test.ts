import t from 'tap';
import { CKA } from '../src/worker/hsm/constants.ts';
import { open } from './support/open-hsm.ts';
import { replaceMasterKey } from './support/replace-master-key.ts';
import { createKeyStore } from './support/soft-token.ts';

/** Whatever a token shows of its master key that the ceremony did not make: no slot opens with it, before any key is tried. */
const store = await createKeyStore(t);
const [slot] = store.slots;
const { masterKey } = store.ceremony;
const opening = async (): Promise<void> => (await open(store, slot)).stop();

t.test('as the ceremony made it, the slot opens', async (t) => {
  await t.resolves(opening());
});

for (const [name, type, value] of [
  ['CKA_PRIVATE', CKA.PRIVATE, false],
  ['CKA_SENSITIVE', CKA.SENSITIVE, false],
  ['CKA_EXTRACTABLE', CKA.EXTRACTABLE, true],
  ['CKA_WRAP', CKA.WRAP, false],
  ['CKA_UNWRAP', CKA.UNWRAP, false],
  ['CKA_ENCRYPT', CKA.ENCRYPT, true],
  ['CKA_DECRYPT', CKA.DECRYPT, true],
  ['CKA_SIGN', CKA.SIGN, true],
  ['CKA_VERIFY', CKA.VERIFY, true],
  ['CKA_DERIVE', CKA.DERIVE, true],
  ['CKA_MODIFIABLE', CKA.MODIFIABLE, true],
] as const)
  t.test(`with ${name} ${value} it does not`, async (t) => {
    await replaceMasterKey(slot, masterKey.label, [[type, value]]);
    const detail = new RegExp(`the object that should be ${masterKey.id} is not as .*: ${name} is ${value}$`);
    await t.rejects(opening(), { code: 'MASTER_KEY_OTHER', detail });
  });
