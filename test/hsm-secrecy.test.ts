import { createDecipheriv, randomBytes } from 'node:crypto';
import t from 'tap';
import { curves } from '../src/shared/keys.ts';
import { ckr } from '../src/worker/hsm/ckr.ts';
import { CKA, CKK, CKM, CKO } from '../src/worker/hsm/constants.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import type { Handle, Template } from '../src/worker/hsm/module.ts';
import { unwrapTemplate } from '../src/worker/hsm/templates.ts';
import { bench, load } from './support/in-process.ts';
import { createKeyStore } from './support/soft-token.ts';

/** No key's value leaves the token, at any step of its life, whatever somebody with the PIN asks for. */
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
  t.test(`the value of a ${curve} private key is refused when fresh, when wrapped, and when unwrapped`, async (t) => {
    const blob = session.withNewKey(curve, (privateKey) => {
      t.equal(value(privateKey), 'CKR_ATTRIBUTE_SENSITIVE', 'fresh');
      const wrapped = session.wrap(privateKey);
      t.equal(value(privateKey), 'CKR_ATTRIBUTE_SENSITIVE', 'after it was wrapped');
      return wrapped;
    });
    session.withUnwrapped(curve, blob, (privateKey) => {
      t.equal(value(privateKey), 'CKR_ATTRIBUTE_SENSITIVE', 'unwrapped');
      t.equal(
        refused(() => session.wrap(privateKey)),
        'CKR_KEY_UNEXTRACTABLE',
        'and it cannot be wrapped again',
      );
      t.equal(
        refused(() => cryptoki.setAttributes(handle, privateKey, [{ type: CKA.SENSITIVE, value: false }])),
        'CKR_ATTRIBUTE_READ_ONLY',
      );
    });
  });

  t.test(`no handle of a ${curve} key is left when it was made and used`, async (t) => {
    const privateKeys = (): number =>
      cryptoki.find(handle, [{ type: CKA.CLASS, value: CKO.PRIVATE_KEY }], 100).length +
      cryptoki.find(handle, [{ type: CKA.CLASS, value: CKO.PUBLIC_KEY }], 100).length;
    const before = privateKeys();
    const blob = session.withNewKey(curve, (privateKey) => session.wrap(privateKey));
    session.withUnwrapped(curve, blob, () => {});
    t.throws(
      () =>
        session.withNewKey(curve, () => {
          throw new Error('in the middle');
        }),
      /in the middle/,
    );
    t.throws(
      () =>
        session.withUnwrapped(curve, blob, () => {
          throw new Error('in the middle');
        }),
      /in the middle/,
    );
    t.equal(privateKeys(), before);
  });

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

t.test('the attestation key gives out nothing', async (t) => {
  session.withUnwrapped('P-256', Buffer.from(store.ceremony.attestationKey.blob, 'base64'), (key) => {
    t.equal(value(key), 'CKR_ATTRIBUTE_SENSITIVE');
    t.equal(
      refused(() => session.wrap(key)),
      'CKR_KEY_UNEXTRACTABLE',
    );
  });
});

t.test('a blob is a wrapped key (RFC 5649) that another key does not open', async (t) => {
  const blob = session.withNewKey('secp256k1', (privateKey) => session.wrap(privateKey));
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const decipher = createDecipheriv('id-aes256-wrap-pad', randomBytes(32), Buffer.from('a65959a6', 'hex'));
    t.throws(() => Buffer.concat([decipher.update(blob), decipher.final()]));
  }
  t.notOk(blob.includes(Buffer.from('2b8104000a', 'hex')), 'the curve’s OID is not to be read in it');
  for (const at of [0, 10, blob.length - 1]) {
    const damaged = Buffer.from(blob);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
    t.not(
      refused(() => session.unwrap('secp256k1', damaged)),
      'NOT REFUSED',
      `one bit changed in byte ${at}`,
    );
  }
});

function ckrClassOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Pkcs11Fault) return ckr(error.code).class;
    throw error;
  }
  return 'NOT REFUSED';
}
