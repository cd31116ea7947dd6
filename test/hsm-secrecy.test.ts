import { createDecipheriv, randomBytes } from 'node:crypto';
import t from 'tap';
import { curves } from '../src/shared/keys.ts';
import { CKA, CKO } from '../src/worker/hsm/constants.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import type { Handle } from '../src/worker/hsm/module.ts';
import { bench, load } from './support/in-process.ts';
import { createKeyStore } from './support/soft-token.ts';

/** No key's value leaves the token, at any step of its life; what a thief would do to change that is in attacks.test.ts. */
const store = await createKeyStore(t);
const [slot] = store.slots;
const cryptoki = load(slot);
const { session } = bench(cryptoki, store, slot);
const { handle } = session;

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
}

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
