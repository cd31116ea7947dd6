import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { adoptKeys } from '../src/ceremony/adopt.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { nobody } from '../src/ceremony/people.ts';
import type { CeremonyFile } from '../src/shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { open } from './support/open-hsm.ts';
import { replaceIntegrityKey } from './support/replace-integrity-key.ts';
import { ceremonyFor, createKeyStore, temporaryDirectory } from './support/soft-token.ts';

/**
 * Whoever has the integrity key can write rows that every HSM believes. Keys that a vendor’s tools made may have any
 * attributes: they are read back when the keys are adopted and checked, and by every worker that opens the token.
 */
const silent = nobody(() => {});
const store = await createKeyStore(t);
const [slot] = store.slots;
const { masterKey, integrityKey } = store.ceremony;
const key = randomBytes(32);
const place = (changes: readonly { type: number; value: boolean }[] = []): Promise<void> =>
  replaceIntegrityKey(slot, integrityKey, key, changes);
const adopting = (file = join(temporaryDirectory(t), 'adopted.json'), allowTierB = false): CeremonyConfiguration => {
  const { backup: _, tokens, ...configuration } = ceremonyFor([slot], file);
  const adopted = tokens.map((token) => ({ ...token, allowTierB }));
  return { ...configuration, tokens: adopted, adopt: { masterKey, integrityKey } };
};

const opening = async (ceremony: CeremonyFile): Promise<void> => (await open({ ceremony }, slot)).stop();

const unfit = [
  ['CKA_PRIVATE', CKA.PRIVATE, false],
  ['CKA_SENSITIVE', CKA.SENSITIVE, false],
  ['CKA_EXTRACTABLE', CKA.EXTRACTABLE, true],
  ['CKA_WRAP', CKA.WRAP, true],
  ['CKA_UNWRAP', CKA.UNWRAP, true],
  ['CKA_ENCRYPT', CKA.ENCRYPT, true],
  ['CKA_DECRYPT', CKA.DECRYPT, true],
  ['CKA_DERIVE', CKA.DERIVE, true],
] as const;

t.test('an integrity key that can be had, or used for something else, is not adopted', async (t) => {
  for (const [name, type, value] of unfit) {
    await place([{ type, value }]);
    // The token is asked to give the keys out, too, before attributes are read.
    const detail =
      type === CKA.EXTRACTABLE
        ? /a signing token gives out its integrity key/
        : new RegExp(`the integrity key on the token has wrong values of ${name}`);
    await t.rejects(adoptKeys(adopting(), silent), { code: 'CEREMONY_REFUSED', detail }, name);
  }
});

t.test(
  'an adopted integrity key that became another in its attributes passes no check and opens no slot',
  async (t) => {
    const configuration = adopting();
    await place();
    await adoptKeys(configuration, silent);
    await checkTokens(configuration, silent);
    const ceremony = await goLive(configuration, silent, true);
    await opening(ceremony);
    for (const [name, type, value] of [...unfit, ['CKA_MODIFIABLE', CKA.MODIFIABLE, true] as const]) {
      await place([{ type, value }]);
      await t.rejects(checkTokens(configuration, silent), { code: 'CEREMONY_REFUSED' }, name);
      await t.rejects(
        opening(ceremony),
        {
          code: 'MASTER_KEY_OTHER',
          detail: new RegExp(`the object that should be ${ceremony.integrityKey.id} is not as .*: ${name} is ${value}`),
        },
        name,
      );
    }
  },
);

t.test('an integrity key that its user can change is of tier B', async (t) => {
  await place([{ type: CKA.MODIFIABLE, value: true }]);
  await t.rejects(adoptKeys(adopting(), silent), {
    code: 'CEREMONY_REFUSED',
    detail: /does not enforce the keys’ template \(no CKA_MODIFIABLE\): it is of tier B/,
  });
  const configuration = adopting(undefined, true);
  await adoptKeys(configuration, silent);
  const ceremony = await checkTokens(configuration, silent);
  t.match(ceremony.tokens[0]?.tierB, { notTaken: ['CKA_MODIFIABLE'] });
  await opening(ceremony);
});
