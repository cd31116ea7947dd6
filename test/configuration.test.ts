import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import { loadConfiguration } from '../src/shared/configuration/load.ts';
import { checkSecretFile, readSecretFile } from '../src/shared/configuration/secret-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-configuration-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

const good = {
  kind: 'driver',
  node: 'node-1',
  keyStore: 'store',
  api: {
    addresses: ['https://127.0.0.1:8444'],
    caFile: 'ca.pem',
    certificateFile: 'node.pem',
    privateKeyFile: 'node.key',
  },
  database: { host: '127.0.0.1', name: 'driver', user: 'driver', passwordFile: 'password' },
  ceremonyFile: 'ceremony.json',
  slots: [{ name: 'hsm-1', module: 'lib/hsm.so', tokenLabel: 'hsm-1', pinFile: 'pin' }],
};

function file(content: unknown): string {
  const path = join(directory, 'config.yaml');
  writeFileSync(path, typeof content === 'string' ? content : stringify(content));
  return path;
}

t.test('paths come back absolute, relative to the file, and defaults are filled in', async (t) => {
  const configuration = loadConfiguration(file(good), driverConfiguration);
  t.equal(configuration.slots[0]?.pinFile, join(directory, 'pin'));
  t.equal(configuration.slots[0]?.module, join(directory, 'lib/hsm.so'));
  t.match(configuration, { database: { port: 5432 }, log: { level: 'info' }, slots: [{ sessions: 2 }] });
});

t.test('every problem is reported at once, each with its path in the file', async (t) => {
  const bad = {
    ...good,
    nodes: 1,
    slots: [{ ...good.slots[0], sesions: 4, sessions: 0 }],
    database: { ...good.database, port: 'x' },
  };
  const load = (): unknown => loadConfiguration(file(bad), driverConfiguration);
  t.throws(load, { code: 'CONFIG_INVALID' });
  for (const problem of [
    /nodes: there is no such key/,
    /slots\[0\]\.sesions: there is no such key/,
    /slots\[0\]\.sessions: /,
    /database\.port: /,
  ]) {
    t.throws(load, { message: problem });
  }
  t.throws(load, { message: /has 4 problems/ });
});

t.test('authorisations are checked against what operators approve, so there must be operators', async (t) => {
  const load = (more: object): unknown => loadConfiguration(file({ ...good, ...more }), driverConfiguration);
  const operators = { threshold: 1, keys: [{ name: 'alice', publicKeyFile: 'alice.pem' }] };
  for (const mode of ['report', 'enforce']) {
    t.throws(() => load({ authorisation: { mode } }), { message: /operators: lists of credentials need operators/ });
    t.match(load({ authorisation: { mode }, operators }), { authorisation: { mode, maxAgeMs: 900_000 } });
  }
  t.throws(() => load({ operators: { ...operators, threshold: 2 } }), { message: /operators: threshold is larger/ });
  t.throws(() => load({ operators: { threshold: 1, keys: [...operators.keys, ...operators.keys] } }), {
    message: /names must differ/,
  });
  t.throws(() => load({ allowedKinds: ['Dance'] }), { message: /allowedKinds\[0\]/ });
});

t.test('two slots with one name, broken YAML and a missing file are told by name', async (t) => {
  const twice = { ...good, slots: [good.slots[0], good.slots[0]] };
  t.throws(() => loadConfiguration(file(twice), driverConfiguration), { message: /slots: slot names must differ/ });
  t.throws(() => loadConfiguration(file('node: [\n'), driverConfiguration), { message: /line \d+: / });
  t.throws(() => loadConfiguration(file('node: a\nnode: b\n'), driverConfiguration), { message: /line 2: / });
  t.throws(() => loadConfiguration(join(directory, 'none.yaml'), driverConfiguration), {
    code: 'CONFIG_UNREADABLE',
    message: /none\.yaml \(ENOENT\)/,
  });
});

t.test(
  'a secret file is read without its line end, and refused when it is missing, empty, or open to everybody',
  async (t) => {
    const secret = join(directory, 'secret');
    writeFileSync(secret, '123456\r\n', { mode: 0o640 });
    t.equal(readSecretFile(secret, 'pinFile').toString(), '123456');
    writeFileSync(join(directory, 'open'), '123456\n', { mode: 0o604 });
    t.throws(() => checkSecretFile(join(directory, 'open'), 'slots[0].pinFile'), {
      code: 'SECRET_FILE_UNSAFE',
      message: /slots\[0\]\.pinFile .*open has mode 604.*chmod o-rwx/,
    });
    t.throws(() => checkSecretFile(join(directory, 'none'), 'pinFile'), {
      code: 'SECRET_FILE_MISSING',
      message: /ENOENT/,
    });
    t.throws(() => checkSecretFile(directory, 'pinFile'), { code: 'SECRET_FILE_INVALID', message: /not a plain file/ });
    writeFileSync(join(directory, 'empty'), '\n', { mode: 0o600 });
    t.throws(() => readSecretFile(join(directory, 'empty'), 'pinFile'), {
      code: 'SECRET_FILE_INVALID',
      message: /is empty/,
    });
    writeFileSync(join(directory, 'empty'), '');
    t.throws(() => checkSecretFile(join(directory, 'empty'), 'pinFile'), {
      code: 'SECRET_FILE_INVALID',
      message: /is empty/,
    });
  },
);
