import t from 'tap';
import { tryAttacks } from '../src/worker/hsm/attacks/attacks.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { isDeliverable } from '../src/worker/hsm/delivery/deliverable.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import type { Handle } from '../src/worker/hsm/module.ts';
import { createSession } from '../src/worker/hsm/session.ts';
import { secretKeySearch } from '../src/worker/hsm/templates.ts';
import { selectToken } from '../src/worker/hsm/token.ts';
import { load, logIn } from './support/in-process.ts';
import { objectsOn } from './support/objects-on.ts';
import { backupFor, createKeyStore } from './support/soft-token.ts';

/**
 * The backup token of a ceremony in a thief's hands who has its PIN: he can take the keys to a token of his own, which is
 * what it is for and why it lies in a safe, and can do nothing else with it that a signing token refuses.
 */
const store = await createKeyStore(t);
const backup = backupFor(store.ceremonyFile);
const { masterKey, integrityKey } = store.ceremony;

t.test('it is the only token of the ceremony whose keys are extractable', async (t) => {
  t.same(await objectsOn(backup, CKA.EXTRACTABLE), ['01', '01']);
  for (const slot of store.slots) t.same(await objectsOn(slot, CKA.EXTRACTABLE), ['00', '00'], slot.name);
});

const cryptoki = load(backup);
const handle = logIn(cryptoki, backup);
const token = selectToken(cryptoki, { label: backup.tokenLabel });
const session = createSession(cryptoki, token, handle, store.ceremony);
const found = (key: typeof masterKey | typeof integrityKey): Handle => {
  const [one] = cryptoki.find(handle, secretKeySearch(key.label, key.ckaId), 2);
  if (one === undefined) throw new Error(`no ${key.label}`);
  return one;
};

t.test('both keys leave it wrapped for another token, and never readable', async (t) => {
  for (const key of [masterKey, integrityKey]) {
    t.ok(isDeliverable(cryptoki, handle, found(key)), key.label);
    t.throws(() => cryptoki.attribute(handle, found(key), CKA.VALUE), Pkcs11Fault);
    t.throws(() => cryptoki.setAttributes(handle, found(key), [{ type: CKA.SENSITIVE, value: false }]), Pkcs11Fault);
  }
});

t.test('a wallet’s blob opens on it as strictly as on a signing token: every attack fails', async (t) => {
  for (const { name, refused, answer } of tryAttacks(session, 'P-256')) t.ok(refused, `${name}: ${answer}`);
});
