import { join } from 'node:path';
import t from 'tap';
import { checkTokens } from '../src/ceremony/check.ts';
import { createKeyStore } from '../src/ceremony/create.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { nobody, type People } from '../src/ceremony/people.ts';
import { ceremonyWarnings } from '../src/shared/ceremony-file.ts';
import { buildFaultModule, openFaultControl } from './support/fault-module/fault-module.ts';
import { objectsOn } from './support/objects-on.ts';
import { makeKey, open } from './support/open-hsm.ts';
import { addToken, backupFor, ceremonyFor, createSoftToken, temporaryDirectory } from './support/soft-token.ts';

/**
 * A token that does not know CKA_UNWRAP_TEMPLATE, as many HSMs do not: the real one refuses the first attempt to store the
 * master key, and is given a template without that attribute.
 */
t.setTimeout(300_000);
const module = await buildFaultModule();
const real = await createSoftToken(t, 'lax');
const faults = openFaultControl(join(temporaryDirectory(t), 'faults'), real.module);
const lax = { ...real, module, environment: { ...real.environment, ...faults.environment } };

/** The rule is in force from the comparison of transport keys on: the next C_UnwrapKey stores the master key. */
function refusingOnce(): People {
  const people = nobody(() => {});
  const on = ['C_UnwrapKey'] as const;
  const code = 0x12; // CKR_ATTRIBUTE_TYPE_INVALID
  return { ...people, compare: async () => faults.set([{ on: [...on], action: 'error', code, count: 1 }]) };
}

t.test('it is refused, and left empty, unless the configuration allows tier B', async (t) => {
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  await t.rejects(createKeyStore(ceremonyFor([lax], file), refusingOnce()), {
    code: 'HSM_REQUEST_REFUSED',
    detail: /^token lax: .*CKR_ATTRIBUTE_TYPE_INVALID/,
  });
  faults.clear();
  t.same(await objectsOn(real), []);
});

t.test('where it is allowed, protocol and worker say what it lets a thief do', async (t) => {
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  const strict = ceremonyFor([lax], file);
  const configuration = { ...strict, tokens: strict.tokens.map((token) => ({ ...token, allowTierB: true })) };
  const made = await createKeyStore(configuration, refusingOnce());
  faults.clear();
  const entry = made.tokens.find(({ slot }) => slot === 'lax');
  t.same(entry?.tierB?.notTaken, ['CKA_UNWRAP_TEMPLATE']);
  for (const what of ['as extractable', 'as not sensitive', 'as a secret key']) {
    t.ok(entry?.tierB?.allows.includes(`unwrapping a key ${what}`), what);
  }
  t.equal(made.tokens[0]?.tierB, undefined, 'the backup token took it all');
  t.match(
    made.steps[0]?.record.join('\n'),
    /lax is of tier B, which the configuration allows: .*no CKA_UNWRAP_TEMPLATE/,
  );

  await t.rejects(
    checkTokens(
      strict,
      nobody(() => {}),
    ),
    {
      code: 'CEREMONY_REFUSED',
      detail: /^token lax: .*of tier B, which the configuration does not allow/,
    },
  );
  await checkTokens(
    configuration,
    nobody(() => {}),
  );
  const ceremony = await goLive(
    configuration,
    nobody(() => {}),
    true,
  );
  t.match(ceremony.steps.at(-1)?.record.join('\n'), /lax is of tier B/);
  t.match(ceremonyWarnings(ceremony, real.serial), [
    /rehearsal/,
    /^tier B: whoever has the PIN .*unwrapping a key as extractable/,
  ]);
  const hsm = await open({ ceremony }, real);
  t.teardown(() => hsm.stop());
  t.ok(await makeKey(hsm, 'secp256k1'), 'and it works');
  await hsm.stop();
});
