import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { Report } from '../src/qualify/report.ts';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { openTestDatabases } from './support/database.ts';
import { objectsOn } from './support/objects-on.ts';
import {
  addToken,
  ceremonyFor,
  createKeyStore,
  createSoftToken,
  holdCeremony,
  slotIn,
  soPin,
  temporaryDirectory,
} from './support/soft-token.ts';

/** `hsm-driver qualify` as an operator runs it. */
// Each run opens tokens, makes RSA keys and measures for some seconds.
t.setTimeout(300_000);
const cli = resolve(import.meta.dirname, '../src/cli/main.ts');
const databases = await openTestDatabases(t);
const store = await createKeyStore(t);
const directory = temporaryDirectory(t);

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** All but the rates, which two runs measure. */
const runWithoutRates = (...args: readonly string[]): Promise<Ended> => run(...args, '--without-rates');

async function run(...args: readonly string[]): Promise<Ended> {
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [cli, 'qualify', ...args], { env })) };
  } catch (error) {
    return error as Ended;
  }
}

/** JSON is YAML. */
function configured(name: string, slots: readonly SlotConfiguration[], ceremonyFile = store.ceremonyFile): string {
  const file = join(directory, `${name}.yaml`);
  writeFileSync(file, JSON.stringify(ceremonyFor(slots, ceremonyFile)));
  return file;
}

/** A driver’s configuration: qualify asks its database for refused PINs, and needs no API. */
function driverConfigured(name: string, slots: readonly SlotConfiguration[]): string {
  const file = join(directory, `${name}.yaml`);
  const api = { addresses: ['https://127.0.0.1:1'], caFile: 'ca', certificateFile: 'c', privateKeyFile: 'k' };
  const { driver: database } = databases;
  const common = { node: 'node-1', keyStore: store.keyStore, ceremonyFile: store.ceremonyFile };
  const stateDirectory = join(directory, `${name}-state`);
  writeFileSync(file, JSON.stringify({ kind: 'driver', ...common, stateDirectory, api, database, slots }));
  return file;
}

t.test('two slots of one key store: tier A, the master key proven, blobs portable, nothing left behind', async (t) => {
  const before = await objectsOn(store.slots[0], CKA.ID);
  const { code, stdout, stderr } = await run('--config', configured('both', store.slots), '--json');
  t.equal(code, 0, stderr);
  const report = JSON.parse(stdout) as Report;
  t.equal(report.slots.length, 2);
  for (const slot of report.slots) {
    t.same(slot.verdict, { tier: 'A', reasons: [] });
    t.match(slot.library, { manufacturer: 'SoftHSM', cryptoki: /^\d+\.\d+$/ });
    t.match(slot.token, { manufacturer: 'SoftHSM project', label: `token ${slot.name}` });
    t.ok(slot.mechanisms.includes(0x1041));
    t.match(slot.identity, { state: 'proven', masterKeyId: store.ceremony.masterKey.id });
    t.same(slot.method, { algorithm: 'RFC5649', mechanism: 0x210a });
    t.same(slot.wraps.confirmed, [{ algorithm: 'RFC5649', mechanism: 0x210a }]);
    const standard = slot.wraps.rows.filter(({ wrapMechanism }) => wrapMechanism === 0x210b);
    t.match(standard, [
      { advertised: false, works: false, failure: /CKR_MECHANISM_INVALID .*\(not advertised\)/ },
      {},
      {},
    ]);
    const gcm = slot.wraps.rows.filter(({ wrapAlgorithm }) => wrapAlgorithm === 'AES-GCM');
    t.ok(gcm.length > 0 && gcm.every(({ advertised }) => !advertised), 'listed, but for encryption only');
    t.same(slot.attacks?.notTaken, []);
    t.ok((slot.attacks?.attacks.length ?? 0) >= 12);
    for (const { name, refused, answer } of slot.attacks?.attacks ?? []) t.ok(refused, `${name}: ${answer}`);
    t.same(slot.sessions, { opened: 64 });
    t.ok(slot.reconnectMs > 0);
    t.same(
      slot.rates.filter(({ curve }) => curve === 'P-256').map(({ threads }) => threads),
      [1, 4, 16],
    );
    for (const rate of slot.rates) {
      t.ok(
        rate.generateAndWrap > 0 && rate.unwrapSignDestroy > 0 && rate.signKept > 0,
        `${rate.curve} ${rate.threads}`,
      );
    }
  }
  t.equal(report.portability.length, 2 * store.ceremony.canaries.length, 'each curve in both directions');
  t.ok(report.portability.every(({ portable }) => portable));
  t.same(await objectsOn(store.slots[0], CKA.ID), before);
});

t.test('a driver’s configuration, one slot of it, as text', async (t) => {
  const { code, stdout, stderr } = await run('--config', driverConfigured('driver', store.slots), '--slot', 'b');
  t.equal(code, 0, stderr);
  t.equal(
    stderr,
    [
      'library and token',
      'curves and wrap mechanisms, each by a round trip',
      'attacks on a throw-away key',
      'rates',
      '',
    ]
      .map((line) => (line === '' ? '' : `b: ${line}`))
      .join('\n'),
    'no warning',
  );
  t.match(stdout, /^Slot b: tier A/m);
  t.notMatch(stdout, /^Slot a/m);
  t.match(stdout, `holds ${store.ceremony.masterKey.id}`);
  t.match(stdout, /refused +unwrap as extractable \(CKR_TEMPLATE_INCONSISTENT\)/);
  t.match(stdout, /secp256k1 .* works/);
});

t.test('a token with another master key: the report says so, and the exit code is not zero', async (t) => {
  const elsewhere = temporaryDirectory(t);
  const other = slotIn(elsewhere, 'other', 'token a');
  await addToken(other);
  await holdCeremony([other], join(elsewhere, 'ceremony.json'));
  const { code, stdout, stderr } = await runWithoutRates(
    '--config',
    configured('other', [store.slots[0], other]),
    '--json',
  );
  t.equal(code, 15);
  t.match(stderr, /MASTER_KEY_OTHER: .*slot other: .*from another ceremony/);
  const report = JSON.parse(stdout) as Report;
  t.match(report.slots[1]?.identity, { state: 'not proven', code: 'MASTER_KEY_OTHER' });
  t.match(
    report.portability.map(({ to, portable }) => [to, portable]),
    store.ceremony.canaries.map(() => ['other', false]),
  );
});

t.test('before the ceremony: what the token can do, and no word on a master key', async (t) => {
  const empty = await createSoftToken(t, 'empty');
  const { code, stdout } = await runWithoutRates(
    '--config',
    configured('empty', [empty], join(directory, 'none.json')),
    '--json',
  );
  t.equal(code, 0);
  t.match((JSON.parse(stdout) as Report).slots[0], {
    identity: { state: 'not checked' },
    verdict: { tier: 'A' },
    rates: [],
  });
  t.same(await objectsOn(empty), []);
});

t.test('a refused PIN ends it, is written down, and is not tried again', async (t) => {
  const slot = await createSoftToken(t, 'wrong');
  writeFileSync(slot.pinFile, soPin, { mode: 0o600 });
  const file = driverConfigured('wrong', [slotOnly(slot)]);
  const first = await runWithoutRates('--config', file);
  t.equal(first.code, 14);
  t.match(first.stderr, /PIN_REFUSED: .*CKR_PIN_INCORRECT/);
  const [kept = ''] = readdirSync(join(directory, 'wrong-state/pin-guard'));
  t.match(JSON.parse(readFileSync(join(directory, 'wrong-state/pin-guard', kept), 'utf8')), { state: 'refused' });
  const second = await runWithoutRates('--config', file);
  t.equal(second.code, 14);
  t.match(second.stderr, /PIN_REFUSED: .*node node-1, slot wrong/);
});

t.test('a slot that is not in the configuration, and a library that is none, have their exit codes', async (t) => {
  t.equal((await runWithoutRates('--config', configured('both', store.slots), '--slot', 'c')).code, 10);
  mkdirSync(join(directory, 'd'));
  const missing = { ...store.slots[0], module: join(directory, 'd') };
  const { code, stderr } = await runWithoutRates('--config', configured('module', [missing]));
  t.equal(code, 12);
  t.match(stderr, /MODULE_NOT_LOADED/);
});

/** Without what a fresh token’s slot carries besides. */
function slotOnly({ serial: _, ...slot }: SlotConfiguration & { readonly serial: string }): SlotConfiguration {
  return slot;
}
