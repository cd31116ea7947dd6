import { existsSync } from 'node:fs';
import pkcs11js from 'pkcs11js';
import t from 'tap';
import { judge } from '../src/qualify/verdict.ts';
import { tryAttacks } from '../src/worker/hsm/attacks/attacks.ts';
import { hmacKey, plainWrappingKey, throwAwayMasterKey } from '../src/worker/hsm/attacks/throw-away.ts';
import { CKA, CKM } from '../src/worker/hsm/constants.ts';
import { openEntrance } from '../src/worker/hsm/delivery/entrance.ts';
import { provenWrapMethods } from '../src/worker/hsm/delivery/transport.ts';
import { type Cryptoki, type Handle, loadModule } from '../src/worker/hsm/module.ts';
import { tryP384 } from '../src/worker/hsm/p384.ts';
import { type ProbedCurve, probeCurves } from '../src/worker/hsm/probe.ts';
import { sessionWith } from '../src/worker/hsm/session.ts';
import { everyWrapMethod } from '../src/worker/hsm/wrap.ts';

/**
 * The layer on a token that shares no code with SoftHSM: NSS softokn. It has P-256, RFC 5649 and CBC_PAD, and it is lax:
 * the driver must notice.
 */
const file = ['/usr/lib/x86_64-linux-gnu/libsoftokn3.so', '/usr/lib/aarch64-linux-gnu/libsoftokn3.so'].find(existsSync);
const skip = file === undefined ? 'NSS is not here (apt-get install libnss3)' : false;

t.test('NSS softokn, P-256 and P-384', { skip }, async (t) => {
  const module = file ?? '';
  const nss = loadNss(module);
  const [slot] = nss.slots();
  if (slot === undefined) throw new Error('NSS has its generic slot');
  const token = { slot, info: nss.tokenInfo(slot) };
  const handle = nss.openSession(slot);
  const methods = everyWrapMethod();
  const probe = (cryptoki: Cryptoki): ProbedCurve[] => {
    const masterKey = plainWrappingKey(cryptoki, handle);
    return methods.flatMap((wrapMethod) =>
      probeCurves(sessionWith(cryptoki, handle, { masterKey, integrityKey: masterKey, wrapMethod }), token),
    );
  };
  const rows = probe(withPublicKeys(nss));
  const row = (list: readonly ProbedCurve[], curve: string, mechanism: number): ProbedCurve | undefined =>
    list.find((one) => one.curve === curve && one.wrapMechanism === mechanism);

  t.test('it wants the public key in an attribute of its own: advertised, but refused, and so unfit', async (t) => {
    const plain = probe(nss);
    t.match(row(plain, 'P-256', CKM.AES_KEY_WRAP_KWP), {
      advertised: true,
      works: false,
      failure: /CKR_TEMPLATE_INCOMPLETE .*\(advertised but refused\)/,
    });
    const verdict = judge({ rows: plain, confirmed: [], hmac: true }, undefined);
    t.match(verdict, { tier: 'unfit', reasons: [/CKR_TEMPLATE_INCOMPLETE/] });
  });

  t.test('given that attribute, two kinds of key wrap and CBC_PAD make the round trip', async (t) => {
    for (const mechanism of [CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PAD, CKM.AES_CBC_PAD]) {
      t.match(row(rows, 'P-256', mechanism), { advertised: true, works: true }, `0x${mechanism.toString(16)}`);
    }
    t.match(row(rows, 'P-256', CKM.AES_GCM), { advertised: false, works: false });
    t.match(row(rows, 'secp256k1', CKM.AES_KEY_WRAP_KWP), { works: false }, 'a curve that it does not have');
  });

  t.test('P-384 makes the same round trip', async (t) => {
    const masterKey = plainWrappingKey(nss, handle);
    for (const mechanism of [CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PAD]) {
      const wrapMethod = { algorithm: 'RFC5649', mechanism } as const;
      const session = sessionWith(withPublicKeys(nss), handle, { masterKey, integrityKey: masterKey, wrapMethod });
      t.same(tryP384(session), { works: true }, `0x${mechanism.toString(16)}`);
    }
    const wrapMethod = { algorithm: 'AES-GCM', mechanism: CKM.AES_GCM } as const;
    const gcm = sessionWith(withPublicKeys(nss), handle, { masterKey, integrityKey: masterKey, wrapMethod });
    t.match(tryP384(gcm), { works: false, failure: /C_WrapKey answered/ });
  });

  t.test(
    '0x210B is RFC 5649 and CBC_PAD is CBC; its 0x210A makes a round trip and is something else, which OpenSSL finds out',
    async (t) => {
      const entrance = openEntrance(nss, handle);
      if ('refusal' in entrance) throw new Error(entrance.refusal);
      t.equal(entrance.hash, 'sha256');
      const { transportKey, publicKey, hash } = entrance;
      const found = provenWrapMethods(nss, handle, transportKey, publicKey, hash, methods);
      t.same(
        found.map(({ algorithm, mechanism }) => [algorithm, mechanism]),
        [
          ['RFC5649', CKM.AES_KEY_WRAP_KWP],
          ['CBC_PAD', CKM.AES_CBC_PAD],
        ],
      );
    },
  );

  t.test(
    'its laxness is noticed: it takes the whole template and ignores it, the attacks succeed, tier B',
    async (t) => {
      const entrance = openEntrance(nss, handle);
      if ('refusal' in entrance) throw new Error(entrance.refusal);
      const wrapMethod = { algorithm: 'RFC5649', mechanism: CKM.AES_KEY_WRAP_KWP } as const;
      const made = throwAwayMasterKey(handle, module, entrance, wrapMethod.mechanism);
      if (made === undefined) throw new Error('NSS takes any template');
      t.same(made.notTaken, []);
      const masterKey = made.handle;
      const session = sessionWith(withPublicKeys(nss), handle, { masterKey, integrityKey: masterKey, wrapMethod });
      const attacks = tryAttacks(session, 'P-256');
      const possible = attacks.flatMap(({ name, refused }) => (refused ? [] : [name]));
      for (const name of [
        'wrap an unwrapped key again, though it is not extractable',
        'unwrap as extractable',
        'unwrap as not sensitive',
      ]) {
        t.ok(possible.includes(name), name);
      }
      const verdict = judge(
        { rows, confirmed: [wrapMethod], hmac: true },
        {
          p384: { works: true },
          notTaken: made.notTaken,
          underTemplate: rows.filter(({ wrapMechanism }) => wrapMechanism === wrapMethod.mechanism),
          attacks,
        },
      );
      t.equal(verdict.tier, 'B');
      t.ok(verdict.reasons.length > 3);
    },
  );

  t.test('it accepts a truncated MAC: the driver makes a MAC anew and compares the whole of it', async (t) => {
    const key = hmacKey(nss, handle);
    const message = Buffer.from('a row');
    const mac = nss.sign(handle, { mechanism: CKM.SHA256_HMAC }, key, message);
    t.equal(mac.length, 32);
    const session = sessionWith(nss, handle, {
      masterKey: key,
      integrityKey: key,
      wrapMethod: { algorithm: 'RFC5649', mechanism: CKM.AES_KEY_WRAP_KWP },
    });
    t.ok(session.hmac(message).equals(mac));
    const short = { ...nss, sign: () => mac.subarray(0, 16) };
    const cut = sessionWith(short, handle, { masterKey: key, integrityKey: key, wrapMethod: session.wrapMethod });
    t.throws(() => cut.hmac(message), RangeError, 'nor does it take one from the token');
  });
});

/** Without a database: the generic slot, which needs no login and keeps nothing. */
function loadNss(module: string): Cryptoki {
  const library = new pkcs11js.PKCS11();
  library.load(module);
  // The binding cuts off the last character.
  const libraryParameters =
    "configdir='' certPrefix='' keyPrefix='' secmod='' flags=noCertDB,noModDB,noKeyDB,forceOpen ";
  library.C_Initialize({ flags: 2, libraryParameters });
  const cryptoki = loadModule(module);
  if (cryptoki.initialize()) throw new Error('NSS was not initialised');
  return cryptoki;
}

/**
 * NSS demands the public point (CKA_NSS_DB) when it unwraps an EC key. No HSM does, so the driver does not give it; here it
 * is remembered per blob.
 */
function withPublicKeys(nss: Cryptoki): Cryptoki {
  const points = new Map<string, Buffer>();
  let last: Buffer = Buffer.alloc(0);
  return {
    ...nss,
    generateKeyPair(session, ...of) {
      const pair = nss.generateKeyPair(session, ...of);
      last = nss.attribute(session, pair.publicKey, CKA.EC_POINT).subarray(2);
      return pair;
    },
    wrapKey(...of) {
      const blob = nss.wrapKey(...of);
      if (!points.has(blob.toString('hex'))) points.set(blob.toString('hex'), last);
      return blob;
    },
    unwrapKey(session: Handle, mechanism, key, blob, template) {
      const point = points.get(blob.toString('hex'));
      const more = point === undefined ? [] : [{ type: 0xd5a0db00, value: point }];
      return nss.unwrapKey(session, mechanism, key, blob, [...template, ...more]);
    },
  };
}
