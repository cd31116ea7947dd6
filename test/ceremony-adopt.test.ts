import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { addToken } from '../src/ceremony/add-token.ts';
import { adoptKeys } from '../src/ceremony/adopt.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { nobody } from '../src/ceremony/people.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { objectsOn } from './support/objects-on.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { signElsewhere } from './support/sign-elsewhere.ts';
import { backupFor, ceremonyFor, createKeyStore, createSoftToken, temporaryDirectory } from './support/soft-token.ts';

/**
 * Keys that came to the tokens by other means, as a vendor's cloning would bring them: here, an earlier ceremony whose
 * protocol is lost. Adopting moves no key.
 */
const silent = nobody(() => {});
const store = await createKeyStore(t);
const [a, b] = store.slots;
const { masterKey, integrityKey } = store.ceremony;
rmSync(store.ceremonyFile);

function adopting(slots: readonly SlotConfiguration[], file: string): CeremonyConfiguration {
  const { backup: _, ...configuration } = ceremonyFor(slots, file);
  return { ...configuration, adopt: { masterKey, integrityKey } };
}

t.test('cloned keys are adopted, checked and taken live, and no key was moved or made to stay', async (t) => {
  const file = join(temporaryDirectory(t), 'adopted.json');
  const before = await objectsOn(a, CKA.ID);
  const configuration = adopting([a], file);
  const made = await adoptKeys(configuration, silent);
  t.not(made.masterKey.id, masterKey.id, 'a name of its own');
  t.equal(made.integrityKey.id, integrityKey.id, 'which the key itself gives');
  t.match(made, { keysFrom: 'vendor tools', steps: [{ step: 'adopt' }] });
  t.equal(made.tokens[0]?.transportKeySha256, undefined);
  t.match(made.explanations[0], /cloned to the others with the vendor’s tools/);

  const further = adopting([a, b], file);
  t.match((await addToken(further, 'b', silent)).steps[1]?.record.join(), /b has its keys from the vendor’s tools/);
  await t.rejects(goLive(further, silent, true), { code: 'CEREMONY_REFUSED', detail: /b was not checked/ });
  await checkTokens(further, silent);
  const ceremony = await goLive(further, silent, true);
  t.same(await objectsOn(a, CKA.ID), before);

  const hsm = await open({ ceremony }, a);
  const key = await makeKey(hsm, 'secp256k1');
  await hsm.stop();
  t.equal((await signElsewhere({ ceremony, keyStore: 'store' }, b, key, [Buffer.alloc(32, 1)])).length, 1);
});

t.test('a token without the keys is not adopted', async (t) => {
  const file = join(temporaryDirectory(t), 'adopted.json');
  const empty = await createSoftToken(t, 'empty');
  await t.rejects(adoptKeys(adopting([a, empty], file), silent), {
    code: 'MASTER_KEY_MISSING',
    detail: /^token empty: there is no master key \(CKA_LABEL “store master key”/,
  });
  t.same(await objectsOn(empty), []);
});

t.test('keys that can be carried away are not adopted for signing', async (t) => {
  const file = join(temporaryDirectory(t), 'adopted.json');
  await t.rejects(adoptKeys(adopting([backupFor(store.ceremonyFile)], file), silent), {
    code: 'CEREMONY_REFUSED',
    detail: /a signing token gives out its master key and its integrity key/,
  });
});

t.test('without keys in the configuration there is nothing to adopt', async (t) => {
  const file = join(temporaryDirectory(t), 'adopted.json');
  await t.rejects(adoptKeys(ceremonyFor([a], file), silent), {
    code: 'CEREMONY_REFUSED',
    detail: /names no keys to adopt/,
  });
});
