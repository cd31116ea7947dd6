import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { stringify } from 'yaml';
import { openAuthority } from '../scripts/local/certificates.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';

/** `hsm-driver api …`: what an operator does on the API’s database. */
const main = resolve(import.meta.dirname, '../src/cli/main.ts');
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-commands-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const databases = await openTestDatabases(t);
const pool = createPool(
  databases.api,
  { applicationName: 'test', max: 2, durability: 'durable' },
  createLog('silent', {}),
);
t.teardown(() => pool.end());
const { certificateFile, privateKeyFile } = await (await openAuthority(join(directory, 'servers'), 'Servers')).issue(
  'localhost',
  'server',
);
const authority = join(directory, 'drivers');
const config = join(directory, 'api.yaml');
const listener = { host: '0.0.0.0', certificateFile, privateKeyFile };
writeFileSync(
  config,
  stringify({
    kind: 'api',
    application: { ...listener, port: 8443 },
    driver: {
      ...listener,
      port: 8444,
      clientCaFile: join(authority, 'ca.pem'),
      nodes: [{ name: 'configured', keyStore: 'main' }],
    },
    database: databases.api,
    userActionSecretFile: 'secret',
    keyStores: [{ id: 'main', primary: true, attestationPublicKey: `04${'ab'.repeat(64)}` }],
  }),
);

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...words: string[]): Promise<Result> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, 'api', ...words, '--config', config]);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as unknown as Result;
    return { code, stdout, stderr };
  }
}

const json = async (...words: string[]) => JSON.parse((await run(...words, '--json')).stdout);

t.test('api init makes an organisation and a client file that only its owner may read', async (t) => {
  const file = join(directory, 'client.json');
  const { code, stdout, stderr } = await run('init', '--organisation', 'Bank', '--client-file', file);
  t.equal(code, 0, stderr);
  const client = JSON.parse(readFileSync(file, 'utf8'));
  t.match(client, {
    baseUrl: 'https://localhost:8443',
    orgId: /^or-/,
    authToken: /\./,
    credentialId: /^cr-/,
    privateKeyPem: /^-----BEGIN PRIVATE KEY-----/,
  });
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.match(stdout, /new DfnsApiClient\(/);
  t.match(stdout, client.orgId);
  for (const secret of [client.authToken, client.privateKeyPem]) t.notMatch(stdout, secret.slice(-60, -30));

  const again = await run('init', '--organisation', 'Bank', '--client-file', file);
  t.equal(again.code, 2);
  t.match(again.stderr, /^CLIENT_FILE_NOT_WRITTEN: /);
  t.same(JSON.parse(readFileSync(file, 'utf8')), client, 'nothing is overwritten');
  const { rows } = await pool.query('select 1 from organisation');
  t.equal(rows.length, 1, 'and no second organisation is made');
});

t.test('service accounts are created with a permission, listed and disabled', async (t) => {
  const file = join(directory, 'bot.json');
  const created = await run(
    'service-account',
    'create',
    '--name',
    'Bot',
    '--client-file',
    file,
    '--permission',
    'signer',
  );
  t.equal(created.code, 0, created.stderr);
  const list = await json('service-account', 'list');
  t.match(list, [
    { name: 'Bank', active: true },
    { name: 'Bot', active: true, assignments: [{ permission: 'pm-built-inset-signer0000000000' }] },
  ]);
  const disabled = await run('service-account', 'disable', '--id', list[1].id);
  t.equal(disabled.code, 0, disabled.stderr);
  t.match((await run('service-account', 'list')).stdout, /us-\S+ +disabled +Bot +Signer\n/);

  const unknown = join(directory, 'unknown.json');
  const refused = await run(
    'service-account',
    'create',
    '--name',
    'x',
    '--client-file',
    unknown,
    '--permission',
    'pm-x',
  );
  t.equal(refused.code, 2);
  t.match(refused.stderr, /^NOT_FOUND: /);
  t.notOk(existsSync(unknown));
});

t.test('a driver is added with a certificate of a CA of our own, which openssl’s formats hold', async (t) => {
  const elsewhere = join(directory, 'elsewhere');
  const foreign = await run('driver', 'add', '--node', 'node-1', '--key-store', 'main', '--authority', elsewhere);
  t.equal(foreign.code, 2, 'a CA that the API does not trust');
  t.match(foreign.stderr, /driver\.clientCaFile must be/);
  const added = await run('driver', 'add', '--node', 'node-1', '--key-store', 'main', '--authority', authority);
  t.equal(added.code, 0, added.stderr);
  const certificate = new X509Certificate(readFileSync(join(authority, 'node-1.pem')));
  t.ok(certificate.verify(new X509Certificate(readFileSync(join(authority, 'ca.pem'))).publicKey));
  t.match(certificate.subject, 'CN=node-1');
  t.equal(statSync(join(authority, 'node-1.key')).mode & 0o777, 0o600);
  t.match(await json('driver', 'list'), [
    {
      name: 'node-1',
      keyStore: 'main',
      state: 'listed',
      knownBy: `SHA-256 ${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`,
    },
    { name: 'configured', state: 'listed', source: 'configuration' },
  ]);
});

t.test('a driver of the operator’s CA is known by fingerprint or DNS name', async (t) => {
  const print = Array(32).fill('AB').join(':');
  t.equal((await run('driver', 'add', '--node', 'b', '--key-store', 'main', '--fingerprint', print)).code, 0);
  t.equal((await run('driver', 'add', '--node', 'c', '--key-store', 'main', '--san', 'c.example')).code, 0);
  const known = (await json('driver', 'list')).map((one: { knownBy: string }) => one.knownBy);
  t.ok(known.includes(`SHA-256 ${'ab'.repeat(32)}`));
  t.ok(known.includes('DNS name c.example'));
  for (const wrong of [
    ['--key-store', 'elsewhere'],
    ['--key-store', 'main', '--fingerprint', 'abc'],
    ['--key-store', 'main', '--san', 'x', '--fingerprint', print],
  ])
    t.equal((await run('driver', 'add', '--node', 'd', ...wrong)).code, 2, wrong.join(' '));
  t.equal((await run('driver', 'add', '--node', '../d', '--key-store', 'main')).code, 2);
});

t.test('a revoked driver comes back only with another certificate', async (t) => {
  for (const node of ['node-1', 'configured']) t.equal((await run('driver', 'revoke', '--node', node)).code, 0);
  t.equal((await run('driver', 'revoke', '--node', 'nobody')).code, 2);
  const states = (await json('driver', 'list')).filter((one: { state: string }) => one.state === 'revoked');
  t.same(
    states.map((one: { name: string }) => one.name),
    ['configured', 'node-1'],
  );
  const same = new X509Certificate(readFileSync(join(authority, 'node-1.pem'))).fingerprint256;
  for (const how of [[], ['--san', 'node-1'], ['--fingerprint', same]]) {
    const refused = await run('driver', 'add', '--node', 'node-1', '--key-store', 'main', ...how);
    t.match(refused.stderr, /^DRIVER_REVOKED: /, how.join(' '));
  }
  const other = ['--fingerprint', 'cd'.repeat(32)];
  t.equal((await run('driver', 'add', '--node', 'node-1', '--key-store', 'main', ...other)).code, 0);
});

t.test('words that are no command are answered with the list of commands', async (t) => {
  const { code, stderr } = await run('service-account', 'remove');
  t.equal(code, 2);
  t.match(stderr, /hsm-driver/);
});
