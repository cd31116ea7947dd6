import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createKeyStore } from '../src/ceremony/create.ts';
import { nobody } from '../src/ceremony/people.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
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

/** A ceremony spends no PIN counter: what was refused once, on this machine or another, is not tried again. */
t.setTimeout(120_000);
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
