import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { AttackFacts, WrapFacts } from '../src/qualify/calls.ts';
import { reportError } from '../src/qualify/qualify.ts';
import type { Report, SlotReport } from '../src/qualify/report.ts';
import { findSessionLimit } from '../src/qualify/session-limit.ts';
import { bestMethod, judge } from '../src/qualify/verdict.ts';
import type { Curve } from '../src/shared/keys.ts';
import { tryAttacks } from '../src/worker/hsm/attacks/attacks.ts';
import { plainWrappingKey, throwAwayMasterKey } from '../src/worker/hsm/attacks/throw-away.ts';
import { CKA, CKM } from '../src/worker/hsm/constants.ts';
import { openEntrance } from '../src/worker/hsm/delivery/entrance.ts';
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
  attacks: [{ name: 'an attack', refused: true, answer: 'CKR_X' }],
};

t.test('a verdict says why it is not a better one', async (t) => {
  t.same(judge(good, enforced), { tier: 'A', reasons: [] });
  t.same(
    judge(good, {
      p384: { works: true },
      notTaken: [],
      attacks: [{ name: 'an attack', refused: false, answer: 'possible' }],
    }),
    {
      tier: 'B',
      reasons: ['possible: an attack'],
    },
  );
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
  t.match(reportError({ ...slots({ identity: proven, verdict: a }), portability: [stuck] }), {
    code: 'MASTER_KEY_OTHER',
    detail: 'blobs are not portable: ed25519 from s0 to s1',
  });
});
