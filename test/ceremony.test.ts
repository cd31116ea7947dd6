import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkTokens } from '../src/ceremony/check.ts';
import { createKeyStore } from '../src/ceremony/create.ts';
import { nobody } from '../src/ceremony/people.ts';
import { ceremonyFile as schema } from '../src/shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { objectsOn } from './support/objects-on.ts';
import { generateJob, makeKey, open } from './support/open-hsm.ts';
import { signElsewhere } from './support/sign-elsewhere.ts';
import {
  addToken,
  backupFor,
  ceremonyFor,
  createSoftToken,
  pin,
  slotIn,
  soPin,
  temporaryDirectory,
} from './support/soft-token.ts';

/** The ceremony on real tokens, each in its own directory, as two devices would be. */
const silent = nobody(() => {});

t.test(
  'a ceremony puts the same keys on two tokens and a backup token, and writes a file without a secret',
  async (t) => {
    const [a, b] = [await createSoftToken(t, 'a'), await createSoftToken(t, 'b')];
    const file = join(temporaryDirectory(t), 'ceremony.json');
    const backup = await createSoftToken(t, 'backup');
    const lines: string[] = [];
    const configuration = ceremonyFor([a, b], file, { backup });
    const made = await createKeyStore(
      configuration,
      nobody((line) => lines.push(line)),
    );

    t.test('the file is what was returned, for everybody to read, and nothing lies beside it', async (t) => {
      t.same(schema.parse(JSON.parse(readFileSync(file, 'utf8'))), made);
      t.equal(statSync(file).mode & 0o777, 0o644);
      t.same(readdirSync(join(file, '..')), ['ceremony.json']);
      t.same(
        made.tokens.map(({ role, slot, label, serial }) => [role, slot, label, serial]),
        [
          ['backup', 'backup', 'token backup', backup.serial],
          ['signing', 'a', 'token a', a.serial],
          ['signing', 'b', 'token b', b.serial],
        ],
      );
      t.equal(new Set(made.tokens.map(({ transportKeySha256 }) => transportKeySha256)).size, 3);
      t.same(
        made.canaries.map(({ curve }) => curve),
        ['secp256k1', 'P-256', 'ed25519'],
      );
      t.match(made.attestationKey.publicKey, /^04[0-9a-f]{128}$/);
      t.equal(made.live, undefined, 'and the keys are not live yet');
    });

    t.test('the protocol names the tokens, the transport keys and the public keys, and no PIN', async (t) => {
      const protocol = lines.join('\n');
      t.same(made.steps.length, 1);
      t.match(made.steps, [{ step: 'create', attended: false, people: [] }]);
      for (const line of made.steps[0]?.record ?? []) t.ok(protocol.includes(line), line);
      for (const { serial, transportKeySha256 } of made.tokens) {
        t.match(protocol, serial);
        t.match(protocol, `${transportKeySha256}, compared by the program only`);
      }
      for (const { publicKey } of made.canaries) t.match(protocol, publicKey);
      t.match(protocol, made.masterKey.id);
      t.match(protocol, made.integrityKey.id);
      t.notMatch(protocol, pin);
      t.notMatch(readFileSync(file, 'utf8'), pin);
      t.match(
        made.explanations.join('\n'),
        /CKA_LOCAL false, CKA_ALWAYS_SENSITIVE false and CKA_NEVER_EXTRACTABLE false/,
      );
    });

    t.test('each token holds these two keys and nothing else', async (t) => {
      for (const slot of [a, b, backup]) {
        t.same(await objectsOn(slot), ['store integrity key', 'store master key']);
      }
    });

    t.test('the tokens show what the protocol explains; only the backup token is extractable', async (t) => {
      for (const slot of [a, b, backup]) {
        for (const attribute of [CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.MODIFIABLE]) {
          t.same(await objectsOn(slot, attribute), ['00', '00'], `${slot.name} 0x${attribute.toString(16)}`);
        }
        t.same(await objectsOn(slot, CKA.SENSITIVE), ['01', '01']);
        const extractable = slot === backup ? '01' : '00';
        t.same(await objectsOn(slot, CKA.EXTRACTABLE), [extractable, extractable], slot.name);
      }
    });

    t.test('a key made on one opens on the other, and a tag made on one holds on the other', async (t) => {
      const store = { ceremony: await checkTokens(configuration, silent), keyStore: 'store' };
      const first = await open(store, a);
      const key = await makeKey(first, 'secp256k1');
      await first.stop();
      t.equal((await signElsewhere(store, b, key, [Buffer.alloc(32, 1)])).length, 1);
      const second = await open(store, b);
      t.match(await second.checkTags([key]), [{ ok: true, value: true }]);
      t.match(await second.generateKeys([generateJob('ed25519')]), [{ ok: true }]);
      await second.stop();
    });

    t.test('a second ceremony is refused: the file exists', async (t) => {
      await t.rejects(createKeyStore(ceremonyFor([a, b], file), silent), {
        code: 'CEREMONY_REFUSED',
        detail: /exists/,
      });
    });

    t.test('a second ceremony under another file is refused: the tokens have keys of these labels', async (t) => {
      const before = await objectsOn(a, CKA.ID);
      await t.rejects(createKeyStore(await freshBackup([a, b], `${file}.2`), silent), {
        code: 'CEREMONY_REFUSED',
        detail: /token a: .*has an object “store master key” already/,
      });
      t.same(await objectsOn(a, CKA.ID), before, 'and the keys that are there are left alone');
      t.notOk(existsSync(`${file}.2`));
    });

    t.test('a fresh token cannot join with one that has keys; it is left as it was', async (t) => {
      const fresh = await createSoftToken(t, 'c');
      await t.rejects(createKeyStore(await freshBackup([fresh, b], `${file}.3`), silent), {
        code: 'CEREMONY_REFUSED',
        detail: /token b/,
      });
      t.same(await objectsOn(fresh), []);
    });
  },
);

t.test('a ceremony that fails at its end leaves nothing on the tokens, and can be started over', async (t) => {
  const a = await createSoftToken(t, 'a');
  const directory = temporaryDirectory(t);
  const blocked = join(directory, 'no-such-folder/ceremony.json');
  const configuration = ceremonyFor([a], blocked, { backup: await createSoftToken(t, 'backup') });
  await t.rejects(createKeyStore(configuration, silent), {
    code: 'CEREMONY_REFUSED',
    detail: /cannot be written \(ENOENT\)/,
  });
  t.same(await objectsOn(a), []);
  t.same(readdirSync(directory), []);
  mkdirSync(join(directory, 'no-such-folder'));
  const made = await createKeyStore(configuration, silent);
  t.equal(made.tokens.length, 2);
});

t.test('a ceremony that somebody interrupts in the middle leaves nothing on the tokens', async (t) => {
  const a = await createSoftToken(t, 'a');
  const file = join(temporaryDirectory(t), 'ceremony.json');
  const interruptAt = nobody((line) => {
    if (line.startsWith('both keys are on')) process.emit('SIGINT', 'SIGINT');
  });
  const before = process.listenerCount('SIGINT');
  await t.rejects(createKeyStore(await freshBackup([a], file), interruptAt), {
    code: 'CEREMONY_REFUSED',
    detail: /interrupted by SIGINT/,
  });
  t.same(await objectsOn(a), []);
  t.notOk(existsSync(file));
  t.equal(process.listenerCount('SIGINT'), before);
});

t.test('a wrong PIN for one token stops the ceremony before any key is made', async (t) => {
  const [a, b] = [await createSoftToken(t, 'a'), await createSoftToken(t, 'b')];
  writeFileSync(b.pinFile, soPin);
  chmodSync(b.pinFile, 0o600);
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await t.rejects(createKeyStore(await freshBackup([a, b], file), silent), {
    code: 'PIN_REFUSED',
    detail: /^token b: /,
  });
  t.same(await objectsOn(a), []);
});

t.test('one token under two names is refused', async (t) => {
  const a = await createSoftToken(t, 'a');
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await t.rejects(createKeyStore(await freshBackup([a, { ...a, name: 'again' }], file), silent), {
    code: 'CEREMONY_REFUSED',
    detail: /a and again are the same token/,
  });
  t.same(await objectsOn(a), []);
});

t.test('a PIN file that others can read is refused before any token is touched', async (t) => {
  const slot: SlotConfiguration = { ...slotIn(temporaryDirectory(t), 'a'), module: '/nowhere' };
  chmodSync(slot.pinFile, 0o644);
  await t.rejects(createKeyStore(ceremonyFor([slot], join(temporaryDirectory(t), 'ceremony.json')), silent), {
    code: 'SECRET_FILE_UNSAFE',
  });
});

t.test('a ceremony without a backup token is refused', async (t) => {
  const a = await createSoftToken(t, 'a');
  const { backup: _, ...configuration } = ceremonyFor([a], join(temporaryDirectory(t), 'ceremony.json'));
  await t.rejects(createKeyStore(configuration, silent), {
    code: 'CEREMONY_REFUSED',
    detail: /no backup token: without one, no HSM can ever be added/,
  });
});

t.test('a label that is taken is not initialised again', async (t) => {
  const slot = await createSoftToken(t, 'a');
  await t.rejects(addToken(slot), { code: 'TOKEN_AMBIGUOUS' });
});

/** A configuration whose backup token was just made. */
async function freshBackup(slots: readonly SlotConfiguration[], file: string): Promise<CeremonyConfiguration> {
  await addToken(backupFor(file));
  return ceremonyFor(slots, file);
}
