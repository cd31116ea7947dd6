import { createHash, randomBytes } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { attestationHolds, attestationPublicKey } from '../src/shared/crypto/attestation.ts';
import { type Curve, curves } from '../src/shared/keys.ts';
import type { Hsm } from '../src/worker/hsm/session-threads.ts';
import type { WrappedKey } from '../src/worker/wrapped-key.ts';
import { generateJob, keyType, makeKey, open, value } from './support/open-hsm.ts';
import { signElsewhere } from './support/sign-elsewhere.ts';
import { createKeyStore } from './support/soft-token.ts';

/**
 * Real keys in a real token, checked with @noble/curves: an implementation that is not the one the driver verifies with.
 */
const store = await createKeyStore(t);
const hsm = await open(store, store.slots[0]);
t.teardown(() => hsm.stop());

const order = { secp256k1: secp256k1.Point.Fn.ORDER, 'P-256': p256.Point.Fn.ORDER };

async function signatures(hsm: Hsm, key: WrappedKey, digests: readonly Buffer[]) {
  const [answer] = await hsm.sign([{ key, requests: [{ requestId: 'sig-1', digests }] }]);
  return value(answer?.[0]);
}

/** RFC 8032 and SEC 1, by noble. */
function holds(curve: Curve, publicKey: string, digest: Uint8Array, rs: string): boolean {
  const [key, signature] = [Buffer.from(publicKey, 'hex'), Buffer.from(rs, 'hex')];
  switch (curve) {
    case 'secp256k1':
      return secp256k1.verify(signature, digest, key, { prehash: false, lowS: true });
    case 'P-256':
      return p256.verify(signature, digest, key, { prehash: false, lowS: true });
    case 'ed25519':
      return ed25519.verify(signature, digest, key, { zip215: false });
    default:
      return curve satisfies never;
  }
}

t.test('the slot proves every curve and says so', async (t) => {
  t.same(
    hsm.probeTable.map(({ curve, works }) => [curve, works]),
    curves.map((curve) => [curve, true]),
  );
  t.same(
    [...hsm.capabilities].sort(),
    curves
      .flatMap((curve) => ['GenerateKey', 'Sign'].map((kind) => `${kind}:${keyType(curve).scheme}/${curve}`))
      .sort(),
  );
  t.match(hsm.token, { label: 'token a', serial: /^[0-9a-f]{16}$/, manufacturer: /SoftHSM/ });
});

for (const curve of curves) {
  t.test(`a ${curve} key is made, attested, tagged, and signs what another library accepts`, async (t) => {
    const job = generateJob(curve);
    const [made] = await hsm.generateKeys([job]);
    const { key, attestation } = value(made);
    t.match(key, {
      ...job,
      keyStore: store.keyStore,
      wrapAlgorithm: 'RFC5649',
      masterKeyId: store.ceremony.masterKey.id,
      integrityKeyId: store.ceremony.integrityKey.id,
      status: 'active',
    });
    t.ok(Buffer.isBuffer(key.blob) && Buffer.isBuffer(key.tag));
    t.ok(
      attestationHolds(attestationPublicKey(store.ceremony.attestationKey.publicKey), { ...key }, attestation),
      'attested',
    );
    t.notOk(
      attestationHolds(
        attestationPublicKey(store.ceremony.attestationKey.publicKey),
        { ...key, organisation: 'or-other' },
        attestation,
      ),
    );
    t.equal(value((await hsm.checkTags([key]))[0]), true, 'tagged');

    const digests = [randomBytes(32), randomBytes(32), randomBytes(32)];
    const made3 = await signatures(hsm, key, digests);
    t.equal(made3.length, 3, 'one signature for each digest');
    made3.forEach(({ rs }, index) => {
      t.ok(holds(curve, key.publicKey, digests[index] as Buffer, rs), `signature ${index}`);
    });
  });

  t.test(
    `a ${curve} key made on one token signs on the other, which holds the same master key`,
    { timeout: 60_000 },
    async (t) => {
      // Opened in another process: this one's library has read its SOFTHSM2_CONF.
      const key = await makeKey(hsm, curve);
      const digest = randomBytes(32);
      const [rs] = await signElsewhere(store, store.slots[1], key, [digest]);
      t.ok(holds(curve, key.publicKey, digest, rs ?? ''));
    },
  );
}

t.test('200 secp256k1 signatures have low s and the recovery id that leads back to the key', async (t) => {
  const key = await makeKey(hsm, 'secp256k1');
  const digests = Array.from({ length: 200 }, () => randomBytes(32));
  const made = await signatures(hsm, key, digests);
  const wrong = made.filter(({ rs, recid }, index) => {
    const signature = secp256k1.Signature.fromBytes(Buffer.from(rs, 'hex')).addRecoveryBit(recid ?? 9);
    const low = signature.s <= order.secp256k1 >> 1n;
    return !low || signature.recoverPublicKey(digests[index] as Buffer).toHex(true) !== key.publicKey;
  });
  t.same(wrong, []);
  t.same(new Set(made.map(({ recid }) => recid)), new Set([0, 1]), 'both recovery ids occur');
});

t.test('P-256 signatures have low s too', async (t) => {
  const key = await makeKey(hsm, 'P-256');
  const made = await signatures(
    hsm,
    key,
    Array.from({ length: 32 }, () => randomBytes(32)),
  );
  t.ok(made.every(({ rs }) => BigInt(`0x${rs.slice(64)}`) <= order['P-256'] >> 1n));
  t.ok(made.every(({ recid }) => recid === undefined));
});

t.test('an ed25519 key signs messages of any length, and equal messages equally (RFC 8032)', async (t) => {
  const key = await makeKey(hsm, 'ed25519');
  const message = randomBytes(16_000);
  const [long, short, again] = await signatures(hsm, key, [message, Buffer.from([1]), message]);
  t.ok(holds('ed25519', key.publicKey, message, long?.rs ?? ''));
  t.ok(holds('ed25519', key.publicKey, Buffer.from([1]), short?.rs ?? ''));
  t.equal(again?.rs, long?.rs);
});

t.test('a digest of the wrong length is refused before the HSM sees it, and only its own request fails', async (t) => {
  const key = await makeKey(hsm, 'secp256k1');
  const good = createHash('sha256').update('good').digest();
  const [answer] = await hsm.sign([
    {
      key,
      requests: [
        { requestId: 'sig-1', digests: [good, Buffer.alloc(64, 1)] },
        { requestId: 'sig-2', digests: [good] },
        { requestId: 'sig-3', digests: [Buffer.alloc(0)] },
      ],
    },
  ]);
  const refused = { ok: false, code: 'DIGEST_INVALID', device: 'healthy', retryable: false };
  t.match(answer, [refused, { ok: true }, refused]);
});

t.test('many jobs at once are all answered, in their order', async (t) => {
  const keys = await Promise.all(curves.map((curve) => makeKey(hsm, curve)));
  const jobs = Array.from({ length: 90 }, (_, index) => ({
    key: keys[index % keys.length] as WrappedKey,
    digests: [randomBytes(32)],
  }));
  const answers = await hsm.sign(
    jobs.map(({ key, digests }, index) => ({ key, requests: [{ requestId: `sig-${index}`, digests }] })),
  );
  const wrong = answers.filter((answer, index) => {
    const { key, digests } = jobs[index] as (typeof jobs)[number];
    return !holds(key.type.curve, key.publicKey, digests[0] as Buffer, value(answer[0])[0]?.rs ?? '');
  });
  t.same(wrong, []);
});

t.test('the probe of a healthy slot succeeds, and no call is in flight after it', async (t) => {
  t.match(await hsm.probe(), { ok: true });
  t.equal(hsm.oldestCallMs(), 0);
});
