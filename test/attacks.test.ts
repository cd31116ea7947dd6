import t from 'tap';
import { curves } from '../src/shared/keys.ts';
import { tryAttacks } from '../src/worker/hsm/attacks/attacks.ts';
import { ulong } from '../src/worker/hsm/attributes.ts';
import { ckr } from '../src/worker/hsm/ckr.ts';
import { CKA, CKK, CKM, CKO, CKU } from '../src/worker/hsm/constants.ts';
import { isDeliverable } from '../src/worker/hsm/delivery/deliverable.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import type { Handle, Template } from '../src/worker/hsm/module.ts';
import { unwrapTemplate } from '../src/worker/hsm/templates.ts';
import { bench, load } from './support/in-process.ts';
import { createKeyStore } from './support/soft-token.ts';

/**
 * What somebody with the PIN and a wrapped key would try, against a token that our ceremony filled: its real master key,
 * not a throw-away. Each was possible on a key without the attribute that stops it.
 */
const store = await createKeyStore(t);
const [slot] = store.slots;
const cryptoki = load(slot);
const { session } = bench(cryptoki, store, slot);
const { handle, masterKey } = session;
const mechanism = { mechanism: store.ceremony.masterKey.wrapMechanism };

/** The code of the refusal. */
function refused(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Pkcs11Fault) return error.ckr.name;
    throw error;
  }
  return 'NOT REFUSED';
}
const value = (key: Handle): string => refused(() => cryptoki.attribute(handle, key, CKA.VALUE));

function findByLabel(label: string): Handle {
  const [found] = cryptoki.find(handle, [{ type: CKA.LABEL, value: label }], 1);
  if (found === undefined) throw new Error(`no object “${label}”`);
  return found;
}

for (const curve of curves) {
  t.test(
    `every attack of hsm-driver qualify fails on the master key of the ceremony, with a ${curve} blob`,
    async (t) => {
      for (const { name, refused, answer } of tryAttacks(session, curve)) t.ok(refused, `${name}: ${answer}`);
    },
  );

  t.test(`a ${curve} blob opens under the strict template only`, async (t) => {
    const blob = session.withNewKey(curve, (privateKey) => session.wrap(privateKey));
    const unwrap = (template: Template): string =>
      refused(() => cryptoki.unwrapKey(handle, mechanism, masterKey, blob, template));
    const strict = unwrapTemplate(curve);
    const changed = (type: number, value: boolean): Template =>
      strict.map((one) => (one.type === type ? { type, value } : one));
    t.equal(unwrap(changed(CKA.EXTRACTABLE, true)), 'CKR_TEMPLATE_INCONSISTENT');
    t.equal(unwrap(changed(CKA.SENSITIVE, false)), 'CKR_TEMPLATE_INCONSISTENT');
    t.equal(unwrap(changed(CKA.TOKEN, true)), 'CKR_TEMPLATE_INCONSISTENT');
    // CKA_CLASS and CKA_KEY_TYPE are always needed; SoftHSM adds CKA_TOKEN and CKA_PRIVATE itself, with the values demanded.
    const filledIn: readonly number[] = [CKA.CLASS, CKA.KEY_TYPE, CKA.TOKEN, CKA.PRIVATE];
    for (const { type } of strict) {
      if (filledIn.includes(type)) continue;
      t.equal(
        unwrap(strict.filter((one) => one.type !== type)),
        'CKR_TEMPLATE_INCONSISTENT',
        `without 0x${type.toString(16)}`,
      );
    }
    const generic: Template = [
      { type: CKA.CLASS, value: CKO.SECRET_KEY },
      { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
      { type: CKA.SENSITIVE, value: false },
      { type: CKA.EXTRACTABLE, value: true },
    ];
    t.not(unwrap(generic), 'NOT REFUSED', 'nor as a generic secret');
    t.equal(unwrap(strict), 'NOT REFUSED');
  });
}

t.test('the master key gives out nothing and lets nobody change it', async (t) => {
  t.equal(value(masterKey), 'CKR_ATTRIBUTE_SENSITIVE');
  for (const type of [CKA.DECRYPT, CKA.ENCRYPT, CKA.EXTRACTABLE, CKA.SIGN, CKA.DERIVE, CKA.MODIFIABLE]) {
    t.equal(
      ckrClassOf(() => cryptoki.setAttributes(handle, masterKey, [{ type, value: true }])),
      'request',
      `set 0x${type.toString(16)}`,
    );
  }
  t.equal(
    refused(() =>
      cryptoki.setAttributes(handle, masterKey, [{ type: CKA.ALLOWED_MECHANISMS, value: Buffer.alloc(0) }]),
    ),
    'CKR_ACTION_PROHIBITED',
  );
  for (const other of [CKM.AES_ECB, 0x2109]) {
    t.equal(
      refused(() =>
        session.withNewKey('P-256', (key) => cryptoki.wrapKey(handle, { mechanism: other }, masterKey, key)),
      ),
      'CKR_MECHANISM_INVALID',
      `mechanism 0x${other.toString(16)}`,
    );
  }
  t.not(
    refused(() => cryptoki.wrapKey(handle, mechanism, masterKey, masterKey)),
    'NOT REFUSED',
    'it does not wrap itself',
  );
});

t.test('the integrity key gives out nothing and does nothing but its HMAC', async (t) => {
  const key = findByLabel(store.ceremony.integrityKey.label);
  t.equal(value(key), 'CKR_ATTRIBUTE_SENSITIVE');
  t.equal(
    ckrClassOf(() => cryptoki.setAttributes(handle, key, [{ type: CKA.EXTRACTABLE, value: true }])),
    'request',
  );
  t.not(
    refused(() => session.withNewKey('P-256', (made) => cryptoki.wrapKey(handle, mechanism, key, made))),
    'NOT REFUSED',
  );
  t.not(
    refused(() => cryptoki.wrapKey(handle, mechanism, masterKey, key)),
    'NOT REFUSED',
    'the master key does not wrap it',
  );
});

t.test('neither key leaves a signing token, wrapped for a token of the thief’s or otherwise', async (t) => {
  const integrityKey = findByLabel(store.ceremony.integrityKey.label);
  for (const key of [masterKey, integrityKey]) t.notOk(isDeliverable(cryptoki, handle, key));
});

t.test(
  'AES-KW is AES-ECB and an exclusive or: the master key does neither, under no mechanism that it has',
  async (t) => {
    const blob = session.withNewKey('P-256', (privateKey) => session.wrap(privateKey));
    for (const one of [CKM.AES_ECB, CKM.AES_CBC_PAD, mechanism.mechanism]) {
      t.not(
        refused(() => cryptoki.decrypt(handle, { mechanism: one }, masterKey, blob.subarray(0, 16))),
        'NOT REFUSED',
        `mechanism 0x${one.toString(16)}`,
      );
    }
  },
);

t.test('neither key can be copied, with or without changes', async (t) => {
  const integrityKey = findByLabel(store.ceremony.integrityKey.label);
  const changes: readonly Template[] = [
    [],
    [{ type: CKA.TOKEN, value: false }],
    [{ type: CKA.DECRYPT, value: true }],
    [{ type: CKA.MODIFIABLE, value: true }],
    [{ type: CKA.ALLOWED_MECHANISMS, value: ulong(CKM.AES_ECB) }],
    [{ type: CKA.UNWRAP_TEMPLATE, value: Buffer.alloc(0) }],
  ];
  for (const key of [masterKey, integrityKey]) {
    for (const change of changes) {
      t.equal(
        ckrClassOf(() => cryptoki.copyObject(handle, key, change)),
        'request',
        JSON.stringify(change),
      );
    }
  }
});

t.test('a key that a thief brings along neither wraps the master key nor opens a blob', async (t) => {
  const blob = session.withNewKey('P-256', (privateKey) => session.wrap(privateKey));
  const own = cryptoki.createObject(handle, [
    { type: CKA.CLASS, value: CKO.SECRET_KEY },
    { type: CKA.KEY_TYPE, value: CKK.AES },
    { type: CKA.TOKEN, value: false },
    { type: CKA.VALUE, value: Buffer.alloc(32, 7) },
    { type: CKA.WRAP, value: true },
    { type: CKA.UNWRAP, value: true },
  ]);
  t.equal(
    refused(() => cryptoki.wrapKey(handle, mechanism, own, masterKey)),
    'CKR_KEY_UNEXTRACTABLE',
  );
  t.equal(
    refused(() => session.withUnwrapped('P-256', blob, (key) => cryptoki.wrapKey(handle, mechanism, own, key))),
    'CKR_KEY_UNEXTRACTABLE',
  );
  t.not(
    refused(() => cryptoki.unwrapKey(handle, mechanism, own, blob, unwrapTemplate('P-256'))),
    'NOT REFUSED',
  );
  session.destroy(own);
});

t.test(
  'somebody with the PIN can neither delete CKA_MODIFIABLE’s effect nor become the security officer',
  async (t) => {
    t.equal(
      refused(() => cryptoki.setAttributes(handle, masterKey, [{ type: CKA.MODIFIABLE, value: true }])),
      'CKR_ACTION_PROHIBITED',
    );
    t.match(
      refused(() => cryptoki.login(handle, CKU.SO, Buffer.from('87654321'))),
      /CKR_USER_ANOTHER_ALREADY_LOGGED_IN|CKR_SESSION_READ_ONLY_EXISTS/,
    );
  },
);

function ckrClassOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Pkcs11Fault) return ckr(error.code).class;
    throw error;
  }
  return 'NOT REFUSED';
}
