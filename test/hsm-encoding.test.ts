import { createHash } from 'node:crypto';
import t from 'tap';
import { lowS, publicKeyHex, uncompressedPoint } from '../src/worker/hsm/encoding.ts';
import { signatureHolds } from '../src/worker/hsm/verify.ts';
import { keyType } from './support/open-hsm.ts';

/** Base points of SEC 2 (sections 2.4.1, 2.4.2) and the first public key of RFC 8032 section 7.1. */
const points = {
  secp256k1: {
    x: '79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
    y: '483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8',
    compressed: '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
  },
  'P-256': {
    x: '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
    y: '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
    compressed: '036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
  },
} as const;
const ed25519 = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

for (const curve of ['secp256k1', 'P-256'] as const) {
  t.test(`a ${curve} point is read in every form that tokens use`, async (t) => {
    const { x, y, compressed } = points[curve];
    const forms = {
      bare: `04${x}${y}`,
      'OCTET STRING': `044104${x}${y}`,
      'BIT STRING': `03420004${x}${y}`,
      'bare compressed': compressed,
      'OCTET STRING compressed': `0421${compressed}`,
      'BIT STRING compressed': `032200${compressed}`,
    };
    for (const [form, encoded] of Object.entries(forms)) t.equal(publicKeyHex(curve, hex(encoded)), compressed, form);
    t.equal(uncompressedPoint(curve, compressed).toString('hex'), `04${x}${y}`);
  });

  t.test(`what is no ${curve} point is refused`, async (t) => {
    const { x, y } = points[curve];
    t.throws(() => publicKeyHex(curve, hex(`04${x}${y.replace(/^4/, '5')}`)), RangeError, 'off the curve');
    t.throws(() => publicKeyHex(curve, hex(`04${x}`)), RangeError, 'cut short');
    t.throws(() => publicKeyHex(curve, hex(`05${x}${y}`)), RangeError, 'another first byte');
    t.throws(() => publicKeyHex(curve, hex(`044204${x}${y}`)), RangeError, 'a length that lies');
    t.throws(() => publicKeyHex(curve, Buffer.alloc(0)), RangeError, 'empty');
  });
}

t.test('an ed25519 key is read bare, in an OCTET STRING and in a BIT STRING', async (t) => {
  for (const encoded of [ed25519, `0420${ed25519}`, `032100${ed25519}`])
    t.equal(publicKeyHex('ed25519', hex(encoded)), ed25519);
  t.throws(() => publicKeyHex('ed25519', hex(`${ed25519}00`)), RangeError);
});

t.test('of the two valid s the lower one is taken', async (t) => {
  const r = '11'.repeat(32);
  // n − 1 and 1 of secp256k1; half the order is the last low one.
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const word = (value: bigint): string => value.toString(16).padStart(64, '0');
  const low = (s: bigint): string => lowS('secp256k1', hex(r + word(s))).toString('hex');
  t.equal(low(order - 1n), r + word(1n));
  t.equal(low(1n), r + word(1n));
  t.equal(low(order / 2n), r + word(order / 2n));
  t.equal(low(order / 2n + 1n), r + word(order / 2n));
  t.throws(() => low(order + 1n), RangeError, 's above the order is no signature');
  t.throws(() => lowS('P-256', Buffer.alloc(63)), RangeError, 'nor is one of another length');
});

t.test('P-256: the signature of RFC 6979 appendix A.2.5 holds for its digest and for nothing else', async (t) => {
  const publicKey = '0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6';
  const digest = createHash('sha256').update('sample').digest();
  const rs =
    'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8';
  const holds = (of: Buffer, signature: string, key = publicKey): boolean =>
    signatureHolds(keyType('P-256'), key, of, { rs: signature });
  t.ok(holds(digest, rs));
  t.ok(holds(digest, lowS('P-256', hex(rs)).toString('hex')), 'with low s too');
  t.notOk(holds(createHash('sha256').update('test').digest(), rs), 'another digest');
  t.notOk(holds(digest, rs, points['P-256'].compressed), 'another key');
  t.notOk(holds(digest, `${rs.slice(0, -1)}9`), 'another s');
  t.notOk(holds(digest, '00'.repeat(32) + rs.slice(64)), 'r = 0');
  t.notOk(holds(digest, 'ff'.repeat(32) + rs.slice(64)), 'r above the order');
  t.notOk(holds(digest, rs.slice(0, 64) + '00'.repeat(32)), 's = 0');
  t.notOk(holds(digest.subarray(1), rs), 'a digest of another length');
});

t.test('for what is no public key of the curve nothing holds, and nothing is thrown', async (t) => {
  const digest = createHash('sha256').update('sample').digest();
  // x³ − 3x + b is no square: half of all x are such.
  const offTheCurve = `02${'00'.repeat(31)}01`;
  t.throws(() => uncompressedPoint('P-256', offTheCurve), 'OpenSSL throws');
  for (const curve of ['secp256k1', 'P-256', 'ed25519'] as const)
    for (const publicKey of [offTheCurve, `02${'ff'.repeat(32)}`, 'ab', ''])
      for (const recid of [undefined, 0] as const) {
        const signature = { rs: '11'.repeat(64), ...(recid === undefined ? {} : { recid }) };
        t.equal(signatureHolds(keyType(curve), publicKey, digest, signature), false, `${curve} ${publicKey}`);
      }
});

t.test(
  'secp256k1: the signature of private key 1 over “Satoshi Nakamoto” holds with recid 1 and low s only',
  async (t) => {
    const { compressed } = points.secp256k1;
    const digest = createHash('sha256').update('Satoshi Nakamoto').digest();
    const r = '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8';
    const rs = `${r}2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5`;
    const type = keyType('secp256k1');
    t.ok(signatureHolds(type, compressed, digest, { rs }));
    const right = ([0, 1] as const).filter((recid) => signatureHolds(type, compressed, digest, { rs, recid }));
    t.equal(right.length, 1, 'one of the two recovery ids is right');
    const highS = `${r}dbbd3162d46e9f9bef7feb87c16dc13b4f6568a87f4e83f728e2443ba586675c`;
    t.notOk(signatureHolds(type, compressed, digest, { rs: highS }), 'high s is not accepted');
    t.equal(lowS('secp256k1', hex(highS)).toString('hex'), rs);
    t.notOk(signatureHolds(type, compressed, createHash('sha256').update('satoshi').digest(), { rs }));
  },
);

t.test('ed25519: the signatures of RFC 8032 section 7.1 hold', async (t) => {
  const vectors = [
    [
      ed25519,
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ] as const;
  for (const [publicKey, message, rs] of vectors) {
    t.ok(signatureHolds(keyType('ed25519'), publicKey, hex(message), { rs }), `message ${JSON.stringify(message)}`);
    t.notOk(signatureHolds(keyType('ed25519'), publicKey, hex(`${message}00`), { rs }));
  }
});
