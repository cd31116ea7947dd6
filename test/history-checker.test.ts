import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { checkHistory, digestOf, type History } from './support/history-checker.ts';

/** The checker of the chaos test finds each thing that must never be, in a history that has it. */
const secret = Buffer.alloc(32, 7);
const publicKey = Buffer.from(secp256k1.getPublicKey(secret)).toString('hex');
const key = { id: 'key-1', publicKey, curve: 'secp256k1' } as const;
const message = 'ab'.repeat(32);
const sign = (hex: string) =>
  Buffer.from(secp256k1.sign(Buffer.from(hex, 'hex'), secret, { prehash: false, lowS: true })).toString('hex');
const rs = sign(message);
const otherRs = sign('cd'.repeat(32));

const request = { externalId: 'e-1', key, message, startedMs: 0, endedMs: 1 };
const journal = { requestId: 'sig-1', keyId: 'key-1', slot: 'hsm-1', payloadDigest: digestOf('key-1', message) };
const row = { id: 'sig-1', kind: 'Sign', state: 'signed', externalId: 'e-1', keyId: 'key-1' } as const;

const good: History = {
  signatures: [{ ...request, answers: [{ is: 'signed', id: 'sig-1', rs }] }],
  keys: [{ id: 'key-1', publicKey }],
  api: {
    requests: [{ ...row, signatures: [rs] }],
    keys: [{ id: 'key-1', requestId: 'r-1', publicKey, attested: true }],
  },
  driver: {
    journal: [{ ...journal, signatures: [rs] }],
    keys: [{ keyId: 'key-1', requestId: 'r-1', publicKey }],
  },
  strangers: ['stranger'],
  logins: { chances: 1, refused: 1 },
};
const found = (change: Partial<History>) => [
  ...new Set(checkHistory({ ...good, ...change }).map(({ invariant }) => invariant)),
];

t.test('a history in which all is well', async (t) => {
  t.strictSame(checkHistory(good), []);
});

t.test('2: two public keys for one GenerateKey request', async (t) => {
  const other = '02'.repeat(33);
  const stored = [...good.driver.keys, { keyId: 'key-2', requestId: 'r-1', publicKey: other }];
  t.strictSame(found({ driver: { ...good.driver, keys: stored } }), [2]);
  t.ok(found({ keys: [...good.keys, { id: 'key-1', publicKey: other }] }).includes(2));
});

t.test('3: a public key that is not durable, or has no attestation', async (t) => {
  t.strictSame(found({ driver: { ...good.driver, keys: [] } }), [3]);
  t.strictSame(found({ api: { ...good.api, keys: [] } }), [3]);
  const unattested = good.api.keys.map((one) => ({ ...one, attested: false }));
  t.strictSame(found({ api: { ...good.api, keys: unattested } }), [3]);
});

t.test('4: two signatures for one request, one that no journal has, one for another payload', async (t) => {
  const answers = [
    { is: 'signed', id: 'sig-1', rs },
    { is: 'signed', id: 'sig-1', rs: otherRs },
  ] as const;
  t.ok(found({ signatures: [{ ...request, answers }] }).includes(4));
  t.ok(found({ driver: { ...good.driver, journal: [{ ...journal, signatures: [otherRs] }] } }).includes(4));
  t.strictSame(found({ driver: { ...good.driver, journal: [] } }), [4]);
  const payloadDigest = digestOf('key-1', 'cd'.repeat(32));
  t.strictSame(found({ driver: { ...good.driver, journal: [{ ...journal, payloadDigest, signatures: [rs] }] } }), [4]);
});

t.test('5: a request that nobody answered, that is gone, or that is still open', async (t) => {
  const refused = [{ is: 'refused', status: 0, reason: 'ECONNRESET' }] as const;
  t.strictSame(found({ signatures: [{ ...request, answers: refused }] }), [5]);
  t.strictSame(found({ api: { ...good.api, requests: [] } }), [5]);
  const open = { ...row, id: 'sig-2', externalId: 'e-2', state: 'leased', signatures: [] };
  t.strictSame(found({ api: { ...good.api, requests: [...good.api.requests, open] } }), [5]);
});

t.test('6: a signature that does not verify', async (t) => {
  const answers = [{ is: 'signed', id: 'sig-1', rs: otherRs }] as const;
  const requests = [{ ...row, signatures: [otherRs] }];
  const entries = [{ ...journal, signatures: [otherRs] }];
  t.strictSame(
    found({
      signatures: [{ ...request, answers }],
      api: { ...good.api, requests },
      driver: { ...good.driver, journal: entries },
    }),
    [6],
  );
});

t.test('7: a slot with another master key that worked', async (t) => {
  t.strictSame(
    found({ driver: { ...good.driver, journal: [{ ...journal, slot: 'stranger', signatures: [rs] }] } }),
    [7],
  );
});

t.test('8: a second login with a PIN that was refused', async (t) => {
  t.strictSame(found({ logins: { chances: 1, refused: 2 } }), [8]);
});
