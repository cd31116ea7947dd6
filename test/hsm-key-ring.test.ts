import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import type { CeremonyFile } from '../src/shared/ceremony-file.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { createKeyStore, holdCeremony } from './support/soft-token.ts';

/** A slot serves the rows of every key of the ring that its token proves, and says which it lacks. */
const store = await createKeyStore(t);
const [slot] = store.slots;
const { ceremony } = store;
/** More keys on the first token, of a ceremony under another name. */
const more = await holdCeremony([slot], join(store.directory, 'more.json'), 'store-more');
const request = [{ requestId: 'sig-1', digests: [randomBytes(32)] }];
const notHere = { ok: false, code: 'KEY_NOT_ON_SLOT', device: 'healthy', retryable: true };

const withIntegrityKey: CeremonyFile = { ...ceremony, integrityKey: more.integrityKey };
const missing: CeremonyFile = {
  ...ceremony,
  masterKey: { ...ceremony.masterKey, id: 'mk-bbbbbbbbbbbbbbbb', ckaId: 'bb'.repeat(16) },
  integrityKey: { ...ceremony.integrityKey, id: 'ik-bbbbbbbbbbbbbbbb', ckaId: 'bc'.repeat(16) },
};
/** The token has a key of this name, but the canaries are of the current one. */
const another: CeremonyFile = { ...ceremony, masterKey: { ...more.masterKey, id: 'mk-cccccccccccccccc' } };

t.test('rows of two integrity keys are checked by one slot, and new rows are tagged by the current one', async (t) => {
  const before = await open(store, slot);
  t.teardown(() => before.stop());
  const old = await makeKey(before, 'P-256');
  await before.stop();
  const hsm = await open({ ceremony: withIntegrityKey, further: [ceremony] }, slot);
  t.teardown(() => hsm.stop());
  t.same(
    hsm.keys.map(({ kind, id, proven }) => [kind, id, proven]),
    [
      ['master', ceremony.masterKey.id, true],
      ['integrity', more.integrityKey.id, true],
      ['integrity', ceremony.integrityKey.id, true],
    ],
  );
  const made = await makeKey(hsm, 'P-256');
  t.equal(made.integrityKeyId, more.integrityKey.id);
  const swapped = { ...old, integrityKeyId: more.integrityKey.id };
  t.same(
    (await hsm.checkTags([old, made, swapped])).map((answer) => answer.ok && answer.value),
    [true, true, false],
    'a row under the other key’s name is none',
  );
  t.match(await hsm.sign([{ key: old, requests: request }]), [[{ ok: true }]]);
  await hsm.stop();
});

t.test('a slot that lacks a further key works, says so, and leaves that key’s rows to others', async (t) => {
  const hsm = await open({ ceremony, further: [missing] }, slot);
  t.teardown(() => hsm.stop());
  const key = await makeKey(hsm, 'secp256k1');
  t.match(hsm.keys, [
    { id: ceremony.masterKey.id, proven: true },
    { id: missing.masterKey.id, proven: false, why: /there is no master key/ },
    { id: ceremony.integrityKey.id, proven: true },
    { id: missing.integrityKey.id, proven: false, why: /there is no integrity key/ },
  ]);
  const elsewhere = { ...key, masterKeyId: missing.masterKey.id };
  const unnamed = { ...key, masterKeyId: 'mk-dddddddddddddddd' };
  t.match(
    await hsm.sign([
      { key: elsewhere, requests: [...request, ...request] },
      { key, requests: request },
      { key: unnamed, requests: request },
    ]),
    [[notHere, notHere], [{ ok: true }], [notHere]],
  );
  t.match(
    await hsm.checkTags([{ ...key, integrityKeyId: missing.integrityKey.id }, key]),
    [notHere, { ok: true, value: true }],
    'a tag that cannot be checked here is no alarm',
  );
  await hsm.stop();
});

t.test('a further key that does not open its canaries does not count, whatever its label says', async (t) => {
  const hsm = await open({ ceremony, further: [another] }, slot);
  t.teardown(() => hsm.stop());
  t.match(hsm.keys[1], { id: another.masterKey.id, proven: false, why: /canary for .* does not hold/ });
  const key = await makeKey(hsm, 'P-256');
  t.match(await hsm.sign([{ key: { ...key, masterKeyId: another.masterKey.id }, requests: request }]), [[notHere]]);
  await hsm.stop();
});

t.test('a current key that is missing keeps the slot from work', async (t) => {
  await t.rejects(open({ ceremony: missing, further: [ceremony] }, slot), { code: 'MASTER_KEY_OTHER' });
});
