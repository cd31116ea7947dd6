import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { kryopticModule } from '../scripts/setup/kryoptic.js';
import { initialiseSoftToken } from '../src/ceremony/initialise-token.ts';
import { nobody } from '../src/ceremony/people.ts';
import { performCeremony } from '../src/ceremony/perform-ceremony.ts';
import { qualify, reportError } from '../src/qualify/qualify.ts';
import { type SlotConfiguration, slot as slotSchema } from '../src/shared/configuration/sections.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { signElsewhere } from './support/sign-elsewhere.ts';
import { ceremonyFor, temporaryDirectory } from './support/soft-token.ts';

/**
 * The whole layer on Kryoptic, a token in Rust that shares no code with SoftHSM and enforces CKA_UNWRAP_TEMPLATE. It has
 * neither secp256k1 nor, with Debian 12's OpenSSL, Edwards curves.
 */
const module = kryopticModule();
const skip = existsSync(module) ? false : 'Kryoptic is not built (npm run test:kryoptic builds it)';

async function createToken(directory: string, name: string): Promise<SlotConfiguration> {
  mkdirSync(join(directory, name));
  const configuration = join(directory, name, 'kryoptic.conf');
  const database = join(directory, name, 'token.sql');
  writeFileSync(configuration, `[[slots]]\nslot = 1\ndbtype = "sqlite"\ndbargs = "${database}"\n`);
  const pinFile = join(directory, name, 'pin');
  writeFileSync(pinFile, 'a user’s PIN', { mode: 0o600 });
  const environment = { KRYOPTIC_CONF: configuration };
  await initialiseSoftToken({ module, environment, label: name, soPin: 'the officer’s PIN', pin: 'a user’s PIN' });
  return slotSchema.parse({ name, module, environment, tokenLabel: name, pinFile });
}

t.test('a ceremony, work and a qualification on Kryoptic', { skip }, async (t) => {
  const directory = temporaryDirectory(t);
  const [backup, a, b] = [
    await createToken(directory, 'backup'),
    await createToken(directory, 'a'),
    await createToken(directory, 'b'),
  ];
  const configuration = ceremonyFor([a, b], join(directory, 'ceremony.json'), { backup });
  const ceremony = await performCeremony(
    configuration,
    nobody(() => {}),
  );

  t.test('the ceremony fills two signing tokens and a backup token, none of tier B', async (t) => {
    t.match(ceremony.masterKey, { wrapAlgorithm: 'RFC5649', wrapMechanism: 0x210b });
    t.match(
      ceremony.canaries.map(({ curve }) => curve),
      ['P-256'],
    );
    for (const { slot, tierB, checkedAt } of ceremony.tokens) {
      t.equal(tierB, undefined, slot);
      t.ok(checkedAt);
    }
  });

  t.test('a key made on one token signs on the other', async (t) => {
    const hsm = await open({ ceremony }, a);
    t.teardown(() => hsm.stop());
    t.same(hsm.capabilities, ['GenerateKey:ECDSA/P-256', 'Sign:ECDSA/P-256']);
    const key = await makeKey(hsm, 'P-256');
    t.match(await hsm.checkTags([key]), [{ ok: true, value: true }]);
    t.match(
      await hsm.sign([
        { key: { ...key, blob: key.blob.subarray(8) }, requests: [{ requestId: 's', digests: [Buffer.alloc(32, 1)] }] },
      ]),
      [[{ ok: false, code: 'KEY_UNUSABLE', device: 'healthy' }]],
    );
    await hsm.stop();
    t.equal((await signElsewhere({ ceremony, keyStore: 'store' }, b, key, [Buffer.alloc(32, 1)])).length, 1);
  });

  t.test('qualify proves it: tier A, P-384, three algorithms, blobs portable', async (t) => {
    const report = await qualify({ configuration, rates: true, say: () => {} });
    t.equal(reportError(report), undefined);
    for (const { verdict, identity, attacks, wraps } of report.slots) {
      t.same(verdict, { tier: 'A', reasons: [] });
      t.match(identity, { state: 'proven', masterKeyId: ceremony.masterKey.id });
      t.same(attacks?.p384, { works: true });
      t.same(
        wraps.rows
          .filter(({ works }) => works)
          .map(({ wrapAlgorithm, wrapMechanism }) => [wrapAlgorithm, wrapMechanism]),
        [
          ['RFC5649', 0x210b],
          ['AES-GCM', 0x1087],
          ['CBC_PAD', 0x1085],
        ],
      );
      // It fills in what the call leaves out, which SoftHSM refuses: the key that comes out is as strict.
      const omitted = attacks?.attacks.find(({ name }) => name === 'unwrap without saying that it is not extractable');
      t.match(omitted, { refused: true, answer: /made as the template demands/ });
    }
    t.match(report.portability, [
      { from: 'a', to: 'b', curve: 'P-256', portable: true },
      { from: 'b', to: 'a', curve: 'P-256', portable: true },
    ]);
  });
});
