import { createCipheriv, randomBytes } from 'node:crypto';
import t from 'tap';
import { chosenMethods } from '../src/ceremony/wrap-choice.ts';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import type { WrapMethod } from '../src/shared/wrap-algorithms.ts';
import { CKA, CKM } from '../src/worker/hsm/constants.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import type { Cryptoki, Mechanism } from '../src/worker/hsm/module.ts';
import { proveSlot } from '../src/worker/hsm/probe.ts';
import {
  decodeBlob,
  encodeBlob,
  everyWrapMethod,
  unwrapInSoftware,
  unwrapKey,
  wrapCandidates,
  wrapKey,
} from '../src/worker/hsm/wrap.ts';
import { bench, load } from './support/in-process.ts';
import { createKeyStore } from './support/soft-token.ts';

/** Wrapping by each algorithm. SoftHSM wraps with RFC 5649 only, so the others run on a token of the test's own. */
const store = await createKeyStore(t);
const [slot] = store.slots;
const cryptoki = load(slot);
const key = randomBytes(32);
const secret = randomBytes(67);
const aad = Buffer.from('hsm-driver wrapped key v1');

/** A token that wraps `secret` under `key` with AES-GCM or CBC, as the mechanism's parameter says. */
function softToken(ownIv?: Buffer): { token: Cryptoki; opened: () => Buffer | undefined; asked: () => Mechanism[] } {
  let last: Buffer | undefined;
  const asked: Mechanism[] = [];
  const crypt = ({ gcm, iv }: Mechanism): Buffer => {
    if (gcm !== undefined) {
      if (ownIv !== undefined) ownIv.copy(gcm.iv);
      const cipher = createCipheriv('aes-256-gcm', key, gcm.iv);
      cipher.setAAD(gcm.aad);
      return Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    }
    const cipher = createCipheriv('aes-256-cbc', key, iv ?? Buffer.alloc(16));
    return Buffer.concat([cipher.update(secret), cipher.final()]);
  };
  const token: Cryptoki = {
    ...cryptoki,
    wrapKey(_session, mechanism) {
      asked.push(mechanism);
      return crypt(mechanism);
    },
    unwrapKey(_session, mechanism, _key, blob) {
      asked.push(mechanism);
      last = blob;
      if (!crypt(mechanism).equals(blob)) throw new Pkcs11Fault('C_UnwrapKey', 0x40);
      return Buffer.alloc(8);
    },
  };
  return { token, opened: () => last, asked: () => asked };
}

const none = Buffer.alloc(8);
const gcm: WrapMethod = { algorithm: 'AES-GCM', mechanism: CKM.AES_GCM };
const cbc: WrapMethod = { algorithm: 'CBC_PAD', mechanism: CKM.AES_CBC_PAD };

t.test('an AES-GCM blob carries IV and AAD, opens, and says what it is', async (t) => {
  const { token, asked } = softToken();
  const blob = wrapKey(token, none, gcm, none, none);
  t.equal(blob.length, 2 + 12 + 2 + aad.length + secret.length + 16);
  t.equal(blob.subarray(0, 2).toString('hex'), '010c');
  t.ok(blob.subarray(16, 16 + aad.length).equals(aad));
  t.match(asked(), [{ mechanism: CKM.AES_GCM, gcm: { tagBits: 128 } }]);
  t.ok(unwrapInSoftware('AES-GCM', key, blob).equals(secret));
  unwrapKey(token, none, gcm, none, blob, []);
  t.not(wrapKey(token, none, gcm, none, none).subarray(2, 14).toString('hex'), blob.subarray(2, 14).toString('hex'));
});

t.test('an IV that the HSM makes itself is the one that is stored', async (t) => {
  const ownIv = randomBytes(12);
  const blob = wrapKey(softToken(ownIv).token, none, gcm, none, none);
  t.ok(blob.subarray(2, 14).equals(ownIv));
  t.ok(unwrapInSoftware('AES-GCM', key, blob).equals(secret));
});

t.test('a CBC_PAD blob carries its IV', async (t) => {
  const { token } = softToken();
  const blob = wrapKey(token, none, cbc, none, none);
  t.equal(blob.length, 2 + 16 + 2 + 80);
  t.ok(unwrapInSoftware('CBC_PAD', key, blob).equals(secret));
  unwrapKey(token, none, cbc, none, blob, []);
});

t.test('a blob cut short, of another version or another AAD is refused before the HSM sees it', async (t) => {
  const { token, asked } = softToken();
  const parts = { iv: randomBytes(12), aad, output: randomBytes(40) };
  const whole = encodeBlob(parts);
  t.same(decodeBlob('AES-GCM', whole), parts);
  const other = encodeBlob({ ...parts, aad: Buffer.from('another') });
  const version = Buffer.concat([Buffer.from([2]), whole.subarray(1)]);
  const garbage = [Buffer.alloc(0), whole.subarray(0, 10), whole.subarray(0, 16 + aad.length), other, version];
  for (const blob of [...garbage, encodeBlob({ ...parts, iv: randomBytes(16) })]) {
    t.throws(() => unwrapKey(token, none, gcm, none, blob, []), { code: 0x110, ckr: { class: 'request' } });
  }
  t.same(asked(), []);
});

t.test(
  'the standard numbers are tried unless the configuration says otherwise; CBC_PAD only when it is named',
  async (t) => {
    t.same(wrapCandidates(), [
      { algorithm: 'RFC5649', mechanism: 0x210b },
      { algorithm: 'RFC5649', mechanism: 0x210a },
      gcm,
    ]);
    const luna = { algorithm: 'RFC5649', mechanism: 0x80000171 } as const;
    t.same(wrapCandidates([{ algorithm: 'CBC_PAD' }, luna]), [cbc, luna]);
    t.same(everyWrapMethod([luna]).slice(0, 2), [luna, { algorithm: 'RFC5649', mechanism: 0x210b }]);
    const refused = driverConfiguration.shape.slots.safeParse([{ ...slot, wrap: [{ algorithm: 'RFC3394' }] }]);
    t.notOk(refused.success);
  },
);

t.test('the probe tries the configured numbers in their order and keeps the one that works', async (t) => {
  const wrap = [
    { algorithm: 'AES-GCM' as const },
    { algorithm: 'RFC5649' as const, mechanism: 0x8000210a },
    { algorithm: 'RFC5649' as const },
  ];
  const own = bench(cryptoki, store, { ...slot, wrap });
  t.teardown(() => own.close());
  const { probeTable, startUpBlob } = proveSlot(own);
  t.same(
    probeTable.map(({ curve, wrapMechanism, advertised, works }) => [curve, wrapMechanism, advertised, works]),
    [0x8000210a, 0x210b, 0x210a].flatMap((number) =>
      ['secp256k1', 'P-256', 'ed25519'].map((curve) => [curve, number, number === 0x210a, number === 0x210a]),
    ),
  );
  t.match(probeTable[0]?.failure, /CKR_MECHANISM_INVALID .*\(not advertised\)/);
  t.equal(startUpBlob.wrapMechanism, 0x210a);
  t.equal(own.session.wrapMethod.mechanism, 0x210a);
});

t.test('advertised and refused is told apart', async (t) => {
  const boastful = { ...cryptoki, mechanisms: (of: Buffer) => [...cryptoki.mechanisms(of), 0x210b] };
  const flags: Cryptoki['mechanismFlags'] = (of, number) =>
    cryptoki.mechanismFlags(of, number === 0x210b ? 0x210a : number);
  const own = bench({ ...boastful, mechanismFlags: flags }, store, { ...slot, wrap: [{ algorithm: 'RFC5649' }] });
  t.teardown(() => own.close());
  const [first] = proveSlot(own).probeTable;
  t.match(first, { wrapMechanism: 0x210b, advertised: true, works: false, failure: /\(advertised but refused\)/ });
});

t.test('a configuration that leaves out the algorithm of the ceremony is refused', async (t) => {
  const own = bench(cryptoki, store, { ...slot, wrap: [{ algorithm: 'CBC_PAD' }] });
  t.teardown(() => own.close());
  t.throws(() => proveSlot(own), { code: 'CONFIG_INVALID', detail: /leaves out RFC5649/ });
});

t.test('a ceremony takes one algorithm for all tokens, and one number where they share one', async (t) => {
  const rfc = (mechanism: number): WrapMethod => ({ algorithm: 'RFC5649', mechanism });
  const choose = (...tokens: readonly (readonly WrapMethod[])[]): readonly WrapMethod[] =>
    chosenMethods(tokens.map((wrapMethods, index) => ({ name: `t${index}`, wrapMethods })));
  t.same(choose([rfc(0x210b), rfc(0x210a)], [rfc(0x210a)]), [rfc(0x210a), rfc(0x210a)]);
  t.same(choose([rfc(0x210a)], [rfc(0x80000171)]), [rfc(0x210a), rfc(0x80000171)], 'each its own');
  t.same(choose([rfc(0x210a), gcm], [gcm]), [gcm, gcm], 'the best that all can do');
  t.throws(() => choose([rfc(0x210a)], [gcm]), { code: 'CEREMONY_REFUSED', detail: /t0: RFC5649 .*; t1: AES-GCM/ });
  t.throws(() => choose([]), { code: 'CEREMONY_REFUSED' });
});

t.test('an Edwards curve is named by its OID, and by its name where the token wants that', async (t) => {
  const forms: string[] = [];
  const picky: Cryptoki = {
    ...cryptoki,
    generateKeyPair(session, mechanism, publicKey, privateKey) {
      const form = publicKey.find(({ type }) => type === CKA.EC_PARAMS)?.value as Buffer;
      forms.push(form.toString('hex'));
      if (form[0] === 0x06 && mechanism.mechanism === CKM.EC_EDWARDS_KEY_PAIR_GEN) {
        throw new Pkcs11Fault('C_GenerateKeyPair', 0x130);
      }
      return cryptoki.generateKeyPair(session, mechanism, publicKey, privateKey);
    },
  };
  const own = bench(picky, store, slot);
  t.teardown(() => own.close());
  const make = (): number => own.session.withNewKey('ed25519', (_key, publicKey) => publicKey.length);
  t.same([make(), make()], [64, 64]);
  const name = '130c656477617264733235353139';
  t.same(forms, ['06032b6570', name, name]);
  const none: Cryptoki = {
    ...picky,
    generateKeyPair() {
      throw new Pkcs11Fault('C_GenerateKeyPair', 0x140);
    },
  };
  const without = bench(none, store, slot);
  t.teardown(() => without.close());
  t.throws(() => without.session.withNewKey('ed25519', () => {}), { code: 0x140 });
});
