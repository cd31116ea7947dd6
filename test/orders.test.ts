import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { canonicalJson } from '../src/shared/crypto/canonical-json.ts';
import { readOperators } from '../src/shared/orders/operators.ts';
import { longestValidityMs, type OrderAbout, type SignedOrder } from '../src/shared/orders/order.ts';
import { readOrderFile } from '../src/shared/orders/order-file.ts';
import { requireOrder } from '../src/shared/orders/require-order.ts';
import { newOrder, signOrder } from '../src/shared/orders/sign-order.ts';
import { recordOrderInDirectory } from '../src/shared/orders/used-orders.ts';
import { verifyOrder, type WantedOrder } from '../src/shared/orders/verify-order.ts';
import { makeOperators } from './support/operators.ts';
import { temporaryDirectory } from './support/soft-token.ts';

/** Orders of two of three operators, with keys of both kinds. */
const directory = temporaryDirectory(t);
const operators = makeOperators(directory, ['alice', 'bob', 'carol'], 2);
const pinned = readOperators(operators.configuration);
const about: OrderAbout = { kind: 'thaw', subject: 'freeze-1' };
const wanted: WantedOrder = { keyStore: 'main', about };
const good = operators.order('main', about);
const now = Date.now();

const refusal = (order: SignedOrder, why: RegExp, atMs = now, want = wanted) =>
  [() => verifyOrder(order, want, pinned, atMs), { code: 'ORDER_REFUSED', message: why }] as const;

t.test('any two of the three are enough, all three are too', async (t) => {
  for (const by of [
    ['alice', 'bob'],
    ['bob', 'carol'],
    ['carol', 'alice'],
    ['alice', 'bob', 'carol'],
  ])
    t.doesNotThrow(() => verifyOrder(operators.order('main', about, by), wanted, pinned, Date.now()), by.join());
});

t.test('one signature too few, a stranger’s, a wrong key’s and one operator’s twice are refused', async (t) => {
  t.throws(...refusal(operators.order('main', about, []), /0 of the 2 operators/));
  t.throws(...refusal(operators.order('main', about, ['bob']), /1 of the 2 operators that it needs signed it \(bob\)/));
  const stranger = generateKeyPairSync('ed25519').privateKey;
  t.throws(...refusal(signOrder(good, 'mallory', stranger), /mallory, who signed it, is no operator/));
  t.throws(...refusal(signOrder(good, 'carol', stranger), /signature of carol is not by the key of carol/));
  const [first] = good.signatures;
  if (first === undefined) throw new Error('it has signatures');
  t.throws(...refusal({ ...good, signatures: [first, first] }, /alice signed it twice/));
  // The same person under another name.
  t.throws(...refusal({ ...good, signatures: [first, { ...first, operator: 'bob' }] }, /signature of bob/));
});

t.test('what was changed after the signatures is refused, whatever it is', async (t) => {
  const changed = [
    { ...good.order, id: '6f2d5a0e-0000-4000-8000-000000000000' },
    { ...good.order, reason: 'another reason' },
    { ...good.order, expiresAt: new Date(Date.parse(good.order.expiresAt) + 1).toISOString() },
    { ...good.order, issuedAt: new Date(Date.parse(good.order.issuedAt) - 1).toISOString() },
  ];
  for (const order of changed) t.throws(...refusal({ ...good, order }, /signature of alice/));
});

t.test('an order for another key store, kind, subject or document is refused', async (t) => {
  const others: WantedOrder[] = [
    { keyStore: 'other', about },
    { keyStore: 'main', about: { kind: 'restore', subject: 'freeze-1' } },
    { keyStore: 'main', about: { ...about, subject: 'freeze-2' } },
    { keyStore: 'main', about: { ...about, documentSha256: '00'.repeat(32) } },
  ];
  for (const other of others)
    t.throws(...refusal(good, /it orders thaw of freeze-1, key store main; wanted is /, now, other));
});

t.test('an expired order, one from the future and one for years are refused, also when the clock jumped', async (t) => {
  const hour = 3_600_000;
  t.throws(...refusal(good, /it expired at .* clock says/, now + 2 * hour));
  t.throws(...refusal(good, /it is not valid before .* clock says/, now - hour));
  const long = newOrder({ keyStore: 'main', about, reason: '' }, hour);
  const order = { ...long.order, expiresAt: new Date(now + longestValidityMs + 2 * hour).toISOString() };
  const signed = [...operators.privateKeys].reduce((one, [name, key]) => signOrder(one, name, key), { ...long, order });
  t.throws(...refusal(signed, /more than 31 days/, Date.now()));
  t.throws(() => newOrder(order, longestValidityMs + 1), { code: 'OPTION_INVALID' });
  t.throws(() => newOrder(order, Number('x')), { code: 'OPTION_INVALID' });
});

t.test('requireOrder says what is missing, and does not pretend where nobody is configured', async (t) => {
  const configured = { keyStore: 'main', operators: operators.configuration };
  const file = operators.orderFile('main', about);
  t.strictSame(requireOrder(configured, about, file), readOrderFile(file));
  t.throws(() => requireOrder(configured, about, undefined), {
    code: 'ORDER_MISSING',
    message: /thaw of freeze-1, key store main/,
  });
  t.equal(requireOrder({ keyStore: 'main' }, about, undefined), undefined);
  t.throws(() => requireOrder({ keyStore: 'main' }, about, file), { code: 'ORDER_NOT_CHECKED' });
  const broken = join(directory, 'broken.json');
  for (const text of ['{', '{}', JSON.stringify({ ...good, order: { ...good.order, extra: 1 } })]) {
    writeFileSync(broken, text);
    t.throws(() => requireOrder(configured, about, broken), { code: 'ORDER_UNREADABLE' });
  }
});

t.test('an order is used once in a directory', async (t) => {
  const state = temporaryDirectory(t);
  recordOrderInDirectory(state, good);
  t.throws(() => recordOrderInDirectory(state, good), { code: 'ORDER_USED', message: /thaw of freeze-1/ });
  t.doesNotThrow(() => recordOrderInDirectory(state, operators.order('main', about)));
  t.throws(() => recordOrderInDirectory(join(directory, 'alice.pem'), good), { code: 'CONFIG_INVALID' });
});

t.test('operators with one key under two names, or with other keys, are refused', async (t) => {
  const [alice, bob] = operators.configuration.keys;
  if (alice === undefined || bob === undefined) throw new Error('they are there');
  const read = (publicKeyFile: string) => () =>
    readOperators({ threshold: 1, keys: [alice, { name: 'dave', publicKeyFile }] });
  t.throws(read(alice.publicKeyFile), { code: 'CONFIG_INVALID', message: /alice and dave have the same key/ });
  t.throws(read(operators.privateKeyFile('bob')), { message: /not a public key/ });
  t.throws(read(join(directory, 'none.pem')), { message: /ENOENT/ });
  const rsa = join(directory, 'rsa.pem');
  writeFileSync(
    rsa,
    generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }),
  );
  t.throws(read(rsa), { message: /neither Ed25519 nor P-256/ });
});

t.test('one P-256 key under two names is found in whatever form its point is written', async (t) => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const [left, right] = [Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')];
  const sign = (right.at(-1) ?? 0) & 1;
  const forms = {
    // SubjectPublicKeyInfo up to the point, and the point as in SEC 1 section 2.3.3; X9.62 knows the hybrid form too.
    uncompressed: ['3059301306072a8648ce3d020106082a8648ce3d030107034200', Buffer.of(4), left, right],
    compressed: ['3039301306072a8648ce3d020106082a8648ce3d030107032200', Buffer.of(2 + sign), left],
    hybrid: ['3059301306072a8648ce3d020106082a8648ce3d030107034200', Buffer.of(6 + sign), left, right],
  } as const;
  const keys = Object.entries(forms).map(([name, [header, ...point]]) => {
    const publicKeyFile = join(directory, `${name}.pem`);
    const spki = Buffer.concat([Buffer.from(header, 'hex'), ...point]).toString('base64');
    writeFileSync(publicKeyFile, `-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`);
    return { name, publicKeyFile };
  });
  for (const one of keys) {
    t.ok(
      readOperators({ threshold: 1, keys: [one] })
        .keys.get(one.name)
        ?.equals(publicKey),
      `${one.name} is the key`,
    );
    for (const other of keys.filter((key) => key !== one))
      t.throws(() => readOperators({ threshold: 2, keys: [one, other] }), {
        code: 'CONFIG_INVALID',
        message: new RegExp(`${one.name} and ${other.name} have the same key`),
      });
  }
});

t.test('there is one way to write what is signed', async (t) => {
  t.equal(canonicalJson({ b: [1, 'ü"'], a: { d: true, c: undefined } }), '{"a":{"d":true},"b":[1,"ü\\""]}');
  t.throws(() => canonicalJson(0.5), RangeError);
});
