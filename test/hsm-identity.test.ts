import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CeremonyFile } from '../src/shared/ceremony-file.ts';
import { makeKey, open } from './support/open-hsm.ts';
import {
  addToken,
  createKeyStore,
  createSoftToken,
  holdCeremony,
  slotIn,
  temporaryDirectory,
} from './support/soft-token.ts';

/** A slot takes work only when its token proves that it holds the ceremony's keys: labels are not believed. */
const store = await createKeyStore(t);
const [slot] = store.slots;

/** Another key store, of one token, whose keys carry the same labels. */
const other = await (async () => {
  const directory = temporaryDirectory(t);
  const slot = slotIn(directory, 'other', 'token a');
  await addToken(slot);
  const ceremony = await holdCeremony([slot], join(directory, 'ceremony.json'));
  return { slot, ceremony, keyStore: store.keyStore };
})();

const opening = (ceremony: CeremonyFile, of = slot): Promise<unknown> =>
  open({ ceremony }, of).then(
    async (hsm) => {
      await hsm.stop();
      return 'opened';
    },
    (error: unknown) => error,
  );

t.test('a token without the keys is refused', async (t) => {
  const empty = await createSoftToken(t);
  t.match(await opening(store.ceremony, empty), {
    code: 'MASTER_KEY_MISSING',
    detail: /there is no master key \(CKA_LABEL “store master key”, CKA_ID [0-9a-f]{32}\) on token “token a”/,
  });
});

t.test('a token of another ceremony is refused, though its keys carry the same labels', async (t) => {
  t.match(await opening(store.ceremony, other.slot), { code: 'MASTER_KEY_OTHER', detail: /from another ceremony/ });
});

t.test('a token of another ceremony is refused though the ids fit too: the canaries do not open', async (t) => {
  const { masterKey, integrityKey } = other.ceremony;
  const disguised = {
    ...store.ceremony,
    masterKey: { ...store.ceremony.masterKey, ckaId: masterKey.ckaId },
    integrityKey,
  };
  t.match(await opening(disguised, other.slot), {
    code: 'MASTER_KEY_OTHER',
    detail: /canary for secp256k1 .* does not hold on this token/,
  });
});

t.test('another integrity key is refused: every row would look tampered with', async (t) => {
  const { masterKey } = other.ceremony;
  const disguised = {
    ...other.ceremony,
    masterKey,
    integrityKey: {
      ...store.ceremony.integrityKey,
      label: other.ceremony.integrityKey.label,
      ckaId: other.ceremony.integrityKey.ckaId,
    },
  };
  t.match(await opening(disguised, other.slot), {
    code: 'MASTER_KEY_OTHER',
    detail: /the integrity key on this token is ik-/,
  });
});

t.test('one canary with another public key is enough to be refused, and so is the attestation key', async (t) => {
  const [first, ...rest] = store.ceremony.canaries;
  if (first === undefined) throw new Error('no canary');
  const publicKey = rest.find(({ publicKey }) => publicKey.length === first.publicKey.length)?.publicKey ?? '';
  const changed = { ...store.ceremony, canaries: [{ ...first, publicKey }, ...rest] };
  t.match(await opening(changed), { code: 'MASTER_KEY_OTHER', detail: new RegExp(`canary for ${first.curve}`) });
  const { attestationKey } = other.ceremony;
  t.match(
    await opening({
      ...store.ceremony,
      attestationKey: { ...store.ceremony.attestationKey, publicKey: attestationKey.publicKey },
    }),
    {
      code: 'MASTER_KEY_OTHER',
      detail: /attestation key/,
    },
  );
  t.match(await opening({ ...store.ceremony, attestationKey }), {
    code: 'MASTER_KEY_OTHER',
    detail: /attestation key/,
  });
});

t.test('a curve without a canary is not offered', async (t) => {
  const canaries = store.ceremony.canaries.filter(({ curve }) => curve === 'P-256');
  const hsm = await open({ ...store, ceremony: { ...store.ceremony, canaries } }, slot);
  t.teardown(() => hsm.stop());
  t.same(hsm.capabilities, ['GenerateKey:ECDSA/P-256', 'Sign:ECDSA/P-256']);
  t.match(
    await hsm.generateKeys([
      { requestId: 'r', keyId: 'k', organisation: 'o', type: { scheme: 'EdDSA', curve: 'ed25519' } },
    ]),
    [{ ok: false, code: 'CURVE_NOT_SUPPORTED', device: 'healthy', retryable: true }],
  );
  await hsm.stop();
});

t.test('a key wrapped by another master key does not open here, and the device is not blamed', async (t) => {
  const elsewhere = await open(other, other.slot);
  const foreign = await makeKey(elsewhere, 'secp256k1');
  await elsewhere.stop();
  const hsm = await open(store, slot);
  t.teardown(() => hsm.stop());
  const sign = (key: typeof foreign): Promise<unknown> =>
    hsm.sign([{ key, requests: [{ requestId: 's', digests: [Buffer.alloc(32, 1)] }] }]);
  t.match(
    await sign(foreign),
    [[{ ok: false, code: 'KEY_NOT_ON_SLOT', device: 'healthy', retryable: true }]],
    'as its row says',
  );
  const disguised = {
    ...foreign,
    masterKeyId: store.ceremony.masterKey.id,
    integrityKeyId: store.ceremony.integrityKey.id,
  };
  const refused = { ok: false, code: 'KEY_UNUSABLE', device: 'healthy', retryable: false };
  t.match(await sign(disguised), [[refused]], 'and when its row claims to be of this store');
  t.match(await hsm.checkTags([foreign, disguised]), [
    { ok: true, value: false },
    { ok: true, value: false },
  ]);
  await hsm.stop();
});

t.test('a token that is taken away while the slot works is a lost device', async (t) => {
  const own = await createKeyStore(t);
  const hsm = await open(own, own.slots[0]);
  t.teardown(() => hsm.stop());
  const key = await makeKey(hsm, 'P-256');
  rmSync(join(own.directory, 'a/tokens'), { recursive: true });
  const [answer] = await hsm.sign([{ key, requests: [{ requestId: 's', digests: [Buffer.alloc(32, 1)] }] }]);
  t.match(answer, [{ ok: false, device: /suspect|lost/, retryable: true }]);
  t.match(await hsm.probe(), { ok: false, retryable: true });
  await hsm.stop();
});

t.test(
  'the fingerprint of the master key is the same on each token that holds it, and another for another key',
  async (t) => {
    const fingerprints: unknown[] = [];
    for (const [ceremony, of] of [
      [store.ceremony, slot],
      [store.ceremony, store.slots[1]],
      [other.ceremony, other.slot],
    ] as const) {
      const hsm = await open({ ceremony }, of);
      fingerprints.push(hsm.fingerprint);
      await hsm.stop();
    }
    const [one, sibling, stranger] = fingerprints;
    t.match(one, { method: 'RFC5649-SHA256', value: /^[0-9a-f]{16}$/ });
    t.strictSame(sibling, one);
    t.notMatch(stranger, one as object);
  },
);
