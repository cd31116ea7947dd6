import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { twoPeople } from '../src/ceremony/attended.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { createKeyStore } from '../src/ceremony/create.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { nobody } from '../src/ceremony/people.ts';
import { readCeremonyFile, readLiveCeremony } from '../src/shared/ceremony-file.ts';
import { objectsOn } from './support/objects-on.ts';
import { addToken, backupFor, ceremonyFor, createSoftToken, temporaryDirectory } from './support/soft-token.ts';

/** The steps of a ceremony, what they ask, and what they leave in the protocol. */
const silent = nobody(() => {});

/** Two people with the answers that `answer` gives, and what was said to them. */
function played(answer: (question: string, said: readonly string[]) => string) {
  const said: string[] = [];
  const asked: string[] = [];
  const dialogue = {
    say: (line: string) => void said.push(line),
    async ask(question: string) {
      asked.push(question);
      return answer(question, said);
    },
  };
  return { dialogue, said, asked };
}

/** Whoever does what is asked. */
function obliging(question: string, said: readonly string[]): string {
  if (question.startsWith('Operator')) return 'Ada';
  if (question.startsWith('Second')) return 'Grace';
  if (question.includes('type the first')) return said.at(-1)?.split(': ').at(-1)?.slice(0, 19) ?? '';
  return 'yes';
}

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

t.test('two people take a key store live, step by step, and the protocol holds who, when and what', async (t) => {
  const [a, b] = [await createSoftToken(t, 'a'), await createSoftToken(t, 'b')];
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  const configuration = ceremonyFor([a, b], file);
  const { dialogue, asked, said } = played(obliging);
  const people = await twoPeople(dialogue);
  const hashes: string[] = [];

  await createKeyStore(configuration, people);
  hashes.push(sha256(file));
  t.equal(asked.filter((question) => question.includes('type the first 16 digits')).length, 3, 'for each token');
  t.match(asked, [/Operator/, /Second person/, /Make new keys for key store store on backup token backup/]);
  t.throws(() => readLiveCeremony(file), { code: 'CEREMONY_NOT_LIVE' });
  await t.rejects(goLive(configuration, people, false), {
    code: 'CEREMONY_REFUSED',
    detail: /backup was not checked; a was not checked; b was not checked/,
  });

  await checkTokens(configuration, people, 'a');
  hashes.push(sha256(file));
  await t.rejects(goLive(configuration, people, false), {
    code: 'CEREMONY_REFUSED',
    detail: /^not live: backup was not checked; b was not checked$/,
  });
  await checkTokens(configuration, people);
  hashes.push(sha256(file));
  const live = await goLive(configuration, people, false);
  t.match(live.live, { rehearsal: false });
  t.same(readLiveCeremony(file), live);
  t.match(
    live.steps.map(({ step, attended, people }) => [step, attended, people]),
    ['create', 'check', 'check', 'go-live'].map((step) => [step, true, ['Ada', 'Grace']]),
  );
  t.same(
    live.steps.map(({ fileBefore }) => fileBefore),
    [undefined, ...hashes],
    'each step names the file that it found',
  );
  t.match(live.steps[0]?.record.join('\n'), /compared by the second person/);
  t.match(live.steps[2]?.record.join('\n'), /a new secp256k1 key, wrapped on a, opens and signs on b/);
  t.ok(said.includes(`protocol file ${file}, SHA-256 ${sha256(file)}`));
  await t.rejects(goLive(configuration, people, false), { code: 'CEREMONY_REFUSED', detail: /it is live since/ });
});

t.test('an unattended step can go live as a rehearsal only, and the protocol says so', async (t) => {
  const a = await createSoftToken(t, 'a');
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  const configuration = ceremonyFor([a], file);
  await createKeyStore(configuration, silent);
  await checkTokens(configuration, silent);
  const { dialogue } = played(obliging);
  await t.rejects(goLive(configuration, await twoPeople(dialogue), false), {
    code: 'CEREMONY_REFUSED',
    detail: /one signing token only: two are needed .*unattended steps: create of .*, check of .*--rehearsal/,
  });
  t.equal(readCeremonyFile(file).live, undefined);
  const live = await goLive(configuration, silent, true);
  t.match(live.live, { rehearsal: true });
  t.match(live.steps.at(-1)?.record.join('\n'), /a rehearsal: these keys must protect nothing of value/);
});

t.test('whoever does not agree changes nothing', async (t) => {
  const a = await createSoftToken(t, 'a');
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  const { dialogue } = played((question, said) => (question.startsWith('Make') ? 'no' : obliging(question, said)));
  await t.rejects(createKeyStore(ceremonyFor([a], file), await twoPeople(dialogue)), {
    code: 'CEREMONY_REFUSED',
    detail: 'Ada answered “no”, not “yes”',
  });
  t.same(await objectsOn(a), []);
  t.same(await objectsOn(backupFor(file)), []);
});

t.test('one person is not two', async (t) => {
  const { dialogue } = played(() => ' Ada ');
  await t.rejects(twoPeople(dialogue), { code: 'CEREMONY_REFUSED', detail: /two people with different names/ });
});

t.test('the second person must type what the target shows: 16 digits of it, within three attempts', async (t) => {
  const key = 'ab12'.repeat(16);
  const compare = async (readOnOrigin: string, ...answers: string[]): Promise<unknown> => {
    const { dialogue } = played((question, said) =>
      question.includes('type the first') ? (answers.shift() ?? '') : obliging(question, said),
    );
    const people = await twoPeople(dialogue);
    return await people.compare({ target: 'b', readOnTarget: key, readOnOrigin });
  };
  await compare(key, 'AB12 ab12 AB12 ab12');
  await compare(key, 'ffff', 'ab12', key);
  for (const wrong of ['ab12 ab12 ab12 ab1', '', 'ab12 ab12 ab12 ab13']) {
    await t.rejects(compare(key, wrong, wrong, wrong, key), {
      code: 'CEREMONY_REFUSED',
      detail: /transport key of b on the origin is not the one Grace read/,
    });
  }
  const swapped = 'cd34'.repeat(16);
  await t.rejects(compare(swapped, key, key, key), { code: 'CEREMONY_REFUSED' });
  await t.rejects(nobody(() => {}).compare({ target: 'b', readOnTarget: key, readOnOrigin: swapped }), {
    code: 'CEREMONY_REFUSED',
    detail: /has another transport key for b than that token made/,
  });
});

t.test('a protocol of the first version is read: as a rehearsal, for nobody was asked then', async (t) => {
  const a = await createSoftToken(t, 'a');
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  const made = await createKeyStore(ceremonyFor([a], file), silent);
  const { tokens, live: _, keysFrom: _from, steps: _steps, explanations: _explanations, ...rest } = made;
  const tokens1 = tokens.map(({ role: _role, checkedAt: _at, ...token }) => token);
  writeFileSync(file, JSON.stringify({ ...rest, version: 1, tokens: tokens1 }));
  const read = readLiveCeremony(file);
  t.match(read, { version: 2, keysFrom: 'first token', masterKey: made.masterKey, live: { rehearsal: true } });
  t.ok(read.tokens.every(({ role, checkedAt }) => role === 'signing' && checkedAt !== undefined));
});
