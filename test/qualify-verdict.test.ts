import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { AttackFacts, WrapFacts } from '../src/qualify/calls.ts';
import { reportError } from '../src/qualify/qualify.ts';
import type { Report, SlotReport } from '../src/qualify/report.ts';
import { findSessionLimit } from '../src/qualify/session-limit.ts';
import { bestMethod, judge } from '../src/qualify/verdict.ts';
import { worstOf } from '../src/qualify/worst-of.ts';
import type { Curve } from '../src/shared/keys.ts';
import { tryAttacks } from '../src/worker/hsm/attacks/attacks.ts';
import { hmacWorks, plainWrappingKey, throwAwayMasterKey } from '../src/worker/hsm/attacks/throw-away.ts';
import { CKA, CKM } from '../src/worker/hsm/constants.ts';
import { openEntrance } from '../src/worker/hsm/delivery/entrance.ts';
import { takeWhatItCan } from '../src/worker/hsm/delivery/stored-keys.ts';
import { storedMasterKey } from '../src/worker/hsm/delivery/templates.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import type { Cryptoki } from '../src/worker/hsm/module.ts';
import { sessionWith } from '../src/worker/hsm/session.ts';
import { load, logIn } from './support/in-process.ts';
import { createSoftToken } from './support/soft-token.ts';

/** That qualify sees what is wrong: on keys and tokens that are lax on purpose. */
const slot = await createSoftToken(t);
const cryptoki = load(slot);
const handle = logIn(cryptoki, slot);
const rfc5649 = { algorithm: 'RFC5649', mechanism: CKM.AES_KEY_WRAP_PAD } as const;

function possible(masterKey: Buffer, lax: Partial<Cryptoki> = {}): string[] {
  const token = { ...cryptoki, ...lax };
  const session = sessionWith(token, handle, { masterKey, integrityKey: masterKey, wrapMethod: rfc5649 });
  return tryAttacks(session, 'P-256').flatMap(({ name, refused }) => (refused ? [] : [name]));
}

t.test('on a key without the template the attacks are seen to succeed', async (t) => {
  const found = possible(plainWrappingKey(cryptoki, handle));
  for (const name of [
    'unwrap as extractable',
    'unwrap as not sensitive',
    'unwrap as a token object',
    'copy the master key (C_CopyObject)',
    'set CKA_DECRYPT, then decrypt the blob with CKM_AES_ECB',
  ]) {
    t.ok(found.includes(name), name);
  }
  const tokenObjects = cryptoki.find(handle, [{ type: CKA.TOKEN, value: true }], 10);
  t.equal(tokenObjects.length, 0, 'and what they made is gone');
});

t.test('on a token that takes the whole template none is possible; without a part of it, some are', async (t) => {
  const entrance = openEntrance(cryptoki, handle);
  if ('refusal' in entrance) throw new Error(entrance.refusal);
  const strict = throwAwayMasterKey(handle, slot.module, entrance, rfc5649.mechanism);
  t.same(strict?.notTaken, []);
  t.same(possible(strict?.handle ?? Buffer.alloc(8)), []);
  t.equal(cryptoki.find(handle, [{ type: CKA.TOKEN, value: true }], 10).length, 0, 'a session object');
});

t.test(
  'a token that answers CKR_OK and changes nothing is not called broken; one that gives out values is',
  async (t) => {
    const entrance = openEntrance(cryptoki, handle);
    if ('refusal' in entrance) throw new Error(entrance.refusal);
    const strict = throwAwayMasterKey(handle, slot.module, entrance, rfc5649.mechanism)?.handle ?? Buffer.alloc(8);
    t.same(possible(strict, { setAttributes: () => {} }), []);
    const generous: Cryptoki['attribute'] = (session, object, type) =>
      type === CKA.VALUE ? randomBytes(32) : cryptoki.attribute(session, object, type);
    t.same(possible(strict, { attribute: generous }), [
      'read the value of the master key',
      'read the value of an unwrapped key',
    ]);
  },
);

t.test('a token that has stopped working has refused nothing', async (t) => {
  const entrance = openEntrance(cryptoki, handle);
  if ('refusal' in entrance) throw new Error(entrance.refusal);
  const made = throwAwayMasterKey(handle, slot.module, entrance, rfc5649.mechanism)?.handle ?? Buffer.alloc(8);
  const refuseUnwrapping = (): never => {
    throw new Pkcs11Fault('C_UnwrapKey', 0x06);
  };
  t.throws(() => possible(made, { unwrapKey: refuseUnwrapping }), Pkcs11Fault, 'from the start');
  let left = 4;
  const failing: Cryptoki['unwrapKey'] = (...call) => {
    left -= 1;
    return left > 0 ? cryptoki.unwrapKey(...call) : refuseUnwrapping();
  };
  t.throws(() => possible(made, { unwrapKey: failing }), Pkcs11Fault, 'in the middle');
  const worn: Cryptoki['copyObject'] = () => {
    throw new Pkcs11Fault('C_CopyObject', 0xb3);
  };
  t.throws(() => possible(made, { copyObject: worn }), Pkcs11Fault, 'a session that is gone');
});

t.test('where no key can be brought in, the throw-away is generated with the same template', async (t) => {
  const made = throwAwayMasterKey(handle, slot.module, undefined, rfc5649.mechanism);
  t.same(made?.notTaken, []);
  t.same(possible(made?.handle ?? Buffer.alloc(8)), []);
});

t.test('a refusal that is no word on the template must be given twice before something is left out', async (t) => {
  const template = storedMasterKey({ label: 'x', ckaId: '00' }, rfc5649.mechanism);
  const asked: number[] = [];
  const answering =
    (...refusals: readonly number[]) =>
    (kept: readonly unknown[]): Buffer => {
      asked.push(template.length - kept.length);
      const code = refusals[asked.length - 1];
      if (code !== undefined) throw new Pkcs11Fault('C_UnwrapKey', code);
      return Buffer.alloc(8);
    };
  const leftOut = (...refusals: readonly number[]): readonly number[] => {
    asked.length = 0;
    takeWhatItCan(template, answering(...refusals));
    return [...asked];
  };
  t.same(leftOut(0x30), [0, 0], 'a device that was busy once takes the whole');
  t.same(leftOut(0x30, 0x30), [0, 0, 1]);
  t.same(leftOut(0x12), [0, 1], 'an attribute that it does not know');
  t.throws(() => leftOut(0xb3), Pkcs11Fault, 'a session that is gone says nothing');
  t.throws(() => leftOut(0x02), Pkcs11Fault, 'nor does a token without memory');
});

t.test('the HMAC must be what software makes of the same key', async (t) => {
  const entrance = openEntrance(cryptoki, handle);
  if ('refusal' in entrance) throw new Error(entrance.refusal);
  t.ok(hmacWorks(cryptoki, handle, entrance));
  t.ok(hmacWorks(cryptoki, handle, undefined));
  for (const sign of [() => Buffer.alloc(32, 1), () => randomBytes(32), () => Buffer.alloc(16, 1)]) {
    t.notOk(hmacWorks({ ...cryptoki, sign }, handle, entrance));
    t.notOk(hmacWorks({ ...cryptoki, sign }, handle, undefined));
  }
});

t.test('the session limit is what the token refuses, and every session is closed again', async (t) => {
  let open = 0;
  const small: Cryptoki = {
    ...cryptoki,
    openSession() {
      if (open >= 15) throw new Pkcs11Fault('C_OpenSession', 0xb1);
      open += 1;
      return Buffer.alloc(8);
    },
    closeSession() {
      open -= 1;
    },
  };
  t.same(findSessionLimit(small, Buffer.alloc(8)), { opened: 16, refusal: 'CKR_SESSION_COUNT' });
  const removed = (): never => {
    throw new Pkcs11Fault('C_OpenSession', 0x32);
  };
  t.throws(() => findSessionLimit({ ...small, openSession: removed }, Buffer.alloc(8)), Pkcs11Fault, 'no limit');
  t.equal(open, 0);
});

const row = (curve: Curve, works = true, mechanism: number = CKM.AES_KEY_WRAP_PAD): WrapFacts['rows'][number] => ({
  curve,
  wrapAlgorithm: 'RFC5649',
  wrapMechanism: mechanism,
  advertised: true,
  works,
  ...(works ? {} : { failure: `${curve}: refused` }),
});
const good: WrapFacts = { rows: [row('secp256k1'), row('P-256')], confirmed: [rfc5649], hmac: true };
const enforced: AttackFacts = {
  p384: { works: true },
  notTaken: [],
  underTemplate: [row('secp256k1'), row('P-256')],
  attacks: [{ name: 'an attack', refused: true, answer: 'CKR_X' }],
};

t.test('a verdict says why it is not a better one', async (t) => {
  t.same(judge(good, enforced), { tier: 'A', reasons: [] });
  t.same(judge(good, { ...enforced, attacks: [{ name: 'an attack', refused: false, answer: 'possible' }] }), {
    tier: 'B',
    reasons: ['possible: an attack'],
  });
  t.match(judge(good, { ...enforced, notTaken: ['CKA_UNWRAP_TEMPLATE'] }), {
    tier: 'B',
    reasons: [/does not take CKA_UNWRAP_TEMPLATE/],
  });
  t.match(judge({ ...good, confirmed: { refusal: 'CKR_X' } }, enforced), {
    tier: 'B',
    reasons: [/no key reaches it by RSA-OAEP \(CKR_X\)/],
  });
  t.match(judge({ ...good, rows: [row('secp256k1'), row('P-256', false)] }, undefined), {
    tier: 'unfit',
    reasons: [/P-256: refused/],
  });
  t.match(judge({ ...good, hmac: false }, enforced), { tier: 'unfit', reasons: [/HMAC/] });
  t.match(judge({ ...good, confirmed: [] }, undefined), {
    tier: 'unfit',
    reasons: [/is not what it is called: OpenSSL does not open it \(RFC5649 0x210A\)/],
  });
  t.match(judge(good, { ...enforced, underTemplate: [row('secp256k1'), row('P-256', false)] }), {
    tier: 'unfit',
    reasons: [/a key with the master key’s template does not do P-256 \(P-256: refused\)/],
  });
  t.match(judge(good, { ...enforced, attacks: [] }), { tier: 'B', reasons: ['no attack was tried'] });
  t.match(judge(good, undefined), { tier: 'unfit', reasons: [/.+/] }, 'never without a reason');
});

t.test('an attack counts as refused only where it was refused with the blobs of every curve', async (t) => {
  const refused = (name: string) => ({ name, refused: true, answer: 'CKR_X' });
  const possible = { name: 'one', refused: false, answer: 'possible' };
  t.same(
    worstOf([
      { curve: 'P-256', attacks: [refused('one'), refused('two')] },
      { curve: 'ed25519', attacks: [possible, { ...refused('two'), answer: 'CKR_Y' }] },
    ]),
    [
      { name: 'one', refused: false, answer: 'possible with ed25519' },
      { name: 'two', refused: true, answer: 'CKR_X, CKR_Y' },
    ],
  );
});

t.test('a mechanism that is not what it is called is not chosen', async (t) => {
  const both = { ...good, rows: [row('P-256', true, 0x210b), row('P-256')] };
  t.same(bestMethod(both), { method: rfc5649, curves: ['P-256'] });
  t.equal(bestMethod({ ...good, confirmed: [] }), undefined);
});

t.test('a report becomes the gravest of its errors', async (t) => {
  const slots = (...of: readonly Pick<SlotReport, 'identity' | 'verdict'>[]): Report => ({
    at: '',
    keyStore: 'store',
    slots: of.map((one, index) => ({ name: `s${index}`, ...one }) as SlotReport),
    portability: [],
  });
  const proven = { state: 'proven', masterKeyId: 'mk-x', curves: [] } as const;
  const other = { state: 'not proven', masterKeyId: 'mk-x', code: 'MASTER_KEY_OTHER', why: 'another' } as const;
  const a = { tier: 'A', reasons: [] } as const;
  const unfit = { tier: 'unfit', reasons: ['no'] } as const;
  t.equal(reportError(slots({ identity: proven, verdict: a })), undefined);
  t.match(reportError(slots({ identity: proven, verdict: unfit })), { code: 'HSM_UNFIT', detail: 'slot s0: no' });
  t.match(reportError(slots({ identity: proven, verdict: unfit }, { identity: other, verdict: a })), {
    code: 'MASTER_KEY_OTHER',
    detail: 'slot s1: another',
  });
  const stuck = { from: 's0', to: 's1', curve: 'ed25519', portable: false, why: 'x' } as const;
  const able = { ...proven, curves: ['ed25519'] } as const;
  const both = slots({ identity: able, verdict: a }, { identity: able, verdict: a });
  t.match(reportError({ ...both, portability: [stuck] }), {
    code: 'MASTER_KEY_OTHER',
    detail: 'blobs are not portable: ed25519 from s0 to s1',
  });
  const unable = slots({ identity: able, verdict: a }, { identity: proven, verdict: a });
  t.equal(
    reportError({ ...unable, portability: [stuck] }),
    undefined,
    's1 cannot do the curve and gets no such requests',
  );
});
