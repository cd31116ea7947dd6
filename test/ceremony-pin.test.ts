import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createKeyStore } from '../src/ceremony/create.ts';
import { nobody } from '../src/ceremony/people.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import { localGuard } from '../src/worker/pin-guard/local-guard.ts';
import { openLocalResults } from '../src/worker/pin-guard/local-results.ts';
import { runCommand } from './support/command.ts';
import { openTestDatabases } from './support/database.ts';
import { buildFaultModule, openFaultControl } from './support/fault-module/fault-module.ts';
import {
  addToken,
  backupFor,
  ceremonyFor,
  createSoftToken,
  pin,
  soPin,
  temporaryDirectory,
} from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A ceremony spends no PIN counter: what was refused once, on this machine or another, is not tried again. */
t.setTimeout(300_000);
const silent = nobody(() => {});
const module = await buildFaultModule();
const databases = await openTestDatabases(t);

/** A ceremony on a token whose PIN file is wrong; `logins` counts what reached the token. */
async function wrongPin() {
  const real = await createSoftToken(t, 'wrong');
  const faults = openFaultControl(join(temporaryDirectory(t), 'faults'), real.module);
  const slot = { ...real, module, environment: { ...real.environment, ...faults.environment } };
  writeFileSync(slot.pinFile, soPin, { mode: 0o600 });
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  return { slot, configuration: ceremonyFor([slot], file), logins: () => faults.stats().calls.C_Login ?? 0 };
}

const elsewhere = (configuration: CeremonyConfiguration): CeremonyConfiguration => ({
  ...configuration,
  stateDirectory: temporaryDirectory(t),
});

t.test('without a database: what this machine wrote down is not tried again, and a new PIN is', async (t) => {
  const { slot, configuration, logins } = await wrongPin();
  await t.rejects(createKeyStore(configuration, silent), { code: 'PIN_REFUSED', detail: /CKR_PIN_INCORRECT/ });
  await t.rejects(createKeyStore(configuration, silent), { code: 'PIN_REFUSED', detail: /as this node wrote down/ });
  t.equal(logins(), 1);
  writeFileSync(slot.pinFile, pin, { mode: 0o600 });
  t.ok(await createKeyStore(configuration, silent));
});

t.test('tokens that share one PIN counter are opened one after another, and none refuses another', async (t) => {
  const slots = [];
  for (const name of ['x', 'y']) {
    const real = await createSoftToken(t, name);
    const faults = openFaultControl(join(temporaryDirectory(t), 'faults'), real.module);
    // While a PIN is tried it counts as refused: long enough for the other token to look.
    faults.set([{ action: 'latency', on: ['C_Login'], ms: 1_000 }]);
    const environment = { ...real.environment, ...faults.environment };
    slots.push({ ...real, module, environment, pinGuardGroup: 'one partition' });
  }
  const file = join(temporaryDirectory(t), 'ceremony.json');
  await addToken(backupFor(file));
  t.ok(await createKeyStore(ceremonyFor(slots, file), silent));
});

t.test('pin clear allows one more try on this machine, and no second one', async (t) => {
  const { slot, configuration, logins } = await wrongPin();
  const config = join(temporaryDirectory(t), 'ceremony.yaml');
  writeFileSync(config, JSON.stringify(configuration)); // JSON is YAML
  const clear = (...more: string[]) => runCommand('pin', 'clear', '--config', config, '--slot', slot.name, ...more);
  t.match(await clear(), { code: 10, errors: /was never seen here/ });
  await t.rejects(createKeyStore(configuration, silent), { code: 'PIN_REFUSED', detail: /CKR_PIN_INCORRECT/ });

  const looked = await clear();
  t.match(looked, { code: 0, out: /refused at slot wrong, .*\nnothing was changed; add --yes/ });
  await t.rejects(createKeyStore(configuration, silent), { code: 'PIN_REFUSED', detail: /as this node wrote down/ });
  t.equal(logins(), 1);

  t.match(await clear('--yes'), {
    code: 0,
    out: /one more try is allowed .*\nnodes and other machines do not know of it/,
  });
  await t.rejects(createKeyStore(configuration, silent), { code: 'PIN_REFUSED', detail: /CKR_PIN_INCORRECT/ });
  await t.rejects(createKeyStore(configuration, silent), { code: 'PIN_REFUSED', detail: /as this node wrote down/ });
  t.equal(logins(), 2, 'the order was used up');

  // Two wrong PINs: the token’s counter is low, and this machine knows nobody who tried a wrong one but itself.
  t.match(await clear('--yes'), { code: 0 });
  writeFileSync(slot.pinFile, pin, { mode: 0o600 });
  t.ok(await createKeyStore(configuration, silent));
  t.match(await clear(), { out: /^nothing was changed/ }, 'nothing is left to clear');
});

t.test('pin clear clears the cluster’s record too where the ceremony names the database', async (t) => {
  const { slot, configuration, logins } = await wrongPin();
  const recorded = { ...configuration, database: databases.driver };
  const config = join(temporaryDirectory(t), 'ceremony.yaml');
  writeFileSync(config, JSON.stringify(recorded));
  await t.rejects(createKeyStore(recorded, silent), { code: 'PIN_REFUSED', detail: /CKR_PIN_INCORRECT/ });
  t.match(await runCommand('pin', 'clear', '--config', config, '--slot', slot.name, '--yes'), {
    code: 0,
    out: /refused by node ceremony, slot wrong/,
  });
  await t.rejects(createKeyStore(recorded, silent), { code: 'PIN_REFUSED', detail: /CKR_PIN_INCORRECT/ });
  t.equal(logins(), 2);
});

t.test('a process that dies while it tries a PIN has failed, also without a database', async (t) => {
  const directory = temporaryDirectory(t);
  const local = openLocalResults(directory);
  const token = { label: 'vault', serial: 'f00', manufacturer: 'm', model: 'm', firmware: '1.0', flags: 0x408 };
  const guarded = localGuard(local, { name: 'a' });
  const died = guarded(
    token,
    Buffer.from(pin),
    () => new Promise(() => {}),
    () => 'none',
  );
  died.catch(() => {});
  await until('the attempt is written down', () => local.read().length === 1);
  const again = localGuard(openLocalResults(directory), { name: 'a' });
  await t.rejects(
    again(
      token,
      Buffer.from(pin),
      async () => t.fail('tried'),
      () => 'none',
    ),
    { code: 'PIN_REFUSED' },
  );
  // One whose login never reached the token has not tried.
  const other = { ...token, serial: 'f01' };
  await guarded(
    other,
    Buffer.from(pin),
    async () => {},
    () => 'none',
  );
  t.notOk(local.read().some(({ tokenSerial }) => tokenSerial === 'f01'));
});

t.test('with the cluster’s database: what any machine tried is not tried again', async (t) => {
  const { configuration, logins } = await wrongPin();
  const recorded = { ...configuration, database: databases.driver };
  await t.rejects(createKeyStore(recorded, silent), { code: 'PIN_REFUSED', detail: /CKR_PIN_INCORRECT/ });
  await t.rejects(createKeyStore(elsewhere(recorded), silent), {
    code: 'PIN_REFUSED',
    detail: /node ceremony, slot wrong/,
  });
  t.equal(logins(), 1);
});

t.test('a database that is named and does not answer means no login', async (t) => {
  const { configuration, logins } = await wrongPin();
  const database = { ...databases.driver, port: 1 };
  await t.rejects(createKeyStore({ ...configuration, database }, silent), { code: 'DATABASE_UNREACHABLE' });
  t.equal(logins(), 0);
});
