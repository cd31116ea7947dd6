import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { addToken } from '../src/ceremony/add-token.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { createKeyStore } from '../src/ceremony/create.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { nobody } from '../src/ceremony/people.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { objectsOn } from './support/objects-on.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { signElsewhere } from './support/sign-elsewhere.ts';
import {
  addToken as addSoftToken,
  backupFor,
  ceremonyFor,
  createSoftToken,
  temporaryDirectory,
} from './support/soft-token.ts';

/** The offline backup token: the only one from which a further token can be filled. */
const silent = nobody(() => {});
const a = await createSoftToken(t, 'a');
const file = join(temporaryDirectory(t), 'ceremony.json');
await addSoftToken(backupFor(file));
const before = ceremonyFor([a], file);
await createKeyStore(before, silent);
const late = await createSoftToken(t, 'late');
const configuration = ceremonyFor([a, late], file);

t.test('a further token is filled from the backup token, and works only once it was checked', async (t) => {
  await checkTokens(before, silent);
  await goLive(before, silent, true);
  const added = await addToken(configuration, 'late', silent);
  t.match(
    added.tokens.map(({ role, slot, checkedAt }) => [role, slot, checkedAt !== undefined]),
    [
      ['backup', 'backup', true],
      ['signing', 'a', true],
      ['signing', 'late', false],
    ],
  );
  t.same(await objectsOn(late), ['store integrity key', 'store master key']);
  t.same(await objectsOn(late, CKA.EXTRACTABLE), ['00', '00']);
  t.same(await objectsOn(late, CKA.ID), await objectsOn(a, CKA.ID));
  const unchecked = { ceremony: added };
  await t.rejects(open(unchecked, late), {
    code: 'TOKEN_NOT_CHECKED',
    detail: /was added to the protocol, and not checked/,
  });

  const ceremony = await checkTokens(configuration, silent, 'late');
  const hsm = await open({ ceremony }, a);
  const key = await makeKey(hsm, 'ed25519');
  await hsm.stop();
  t.equal((await signElsewhere({ keyStore: 'store', ceremony }, late, key, [Buffer.alloc(32, 1)])).length, 1);
});

t.test('a token that the protocol does not name takes no work, though it holds the keys', async (t) => {
  const ceremony = await checkTokens(configuration, silent, 'a');
  const tokens = ceremony.tokens.filter(({ slot }) => slot !== 'a');
  await t.rejects(open({ ceremony: { ...ceremony, tokens } }, a), {
    code: 'TOKEN_NOT_CHECKED',
    detail: /is not in the protocol/,
  });
});

t.test('the backup token signs nothing: its copies can be taken to another token', async (t) => {
  const ceremony = await checkTokens(configuration, silent, 'backup');
  await t.rejects(open({ ceremony }, backupFor(file)), {
    code: 'MASTER_KEY_OTHER',
    detail: /CKA_EXTRACTABLE is true/,
  });
});

t.test('a signing token fills no other token', async (t) => {
  const fresh = await createSoftToken(t, 'fresh');
  await t.rejects(addToken(ceremonyFor([fresh], file, { backup: a }), 'fresh', silent), {
    code: 'CEREMONY_REFUSED',
    detail: /token a \(.*\) is not the backup token of the protocol/,
  });
  t.same(await objectsOn(fresh), []);
});

t.test('neither does a backup token of another key store', async (t) => {
  const [b, fresh] = [await createSoftToken(t, 'b'), await createSoftToken(t, 'fresh')];
  const other = join(temporaryDirectory(t), 'other.json');
  const backup = backupFor(other);
  await addSoftToken(backup);
  await createKeyStore(ceremonyFor([b], other), silent);
  await t.rejects(addToken(ceremonyFor([fresh], file, { backup }), 'fresh', silent), { code: 'CEREMONY_REFUSED' });
  t.same(await objectsOn(fresh), []);
});

t.test('a token cannot be added twice, and not one that is not configured', async (t) => {
  await t.rejects(addToken(configuration, 'late', silent), {
    code: 'CEREMONY_REFUSED',
    detail: /has token late \(.*\) already/,
  });
  await t.rejects(addToken(configuration, 'nowhere', silent), { code: 'CONFIG_INVALID' });
});

t.test('a step that finds the protocol changed under it records nothing and takes its keys back', async (t) => {
  const fresh = await createSoftToken(t, 'fresh');
  const meddler = nobody((line) => {
    if (line.startsWith('fresh (signing) received')) writeFileSync(file, '{}');
  });
  const kept = await checkTokens(configuration, silent, 'a');
  await t.rejects(addToken(ceremonyFor([fresh], file), 'fresh', meddler), {
    code: 'CEREMONY_REFUSED',
    detail: /changed by somebody else/,
  });
  t.same(await objectsOn(fresh), []);
  writeFileSync(file, JSON.stringify(kept));
});
