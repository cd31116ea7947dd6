import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { bearerTokenHash, readCaller } from '../src/api/authentication/bearer-token.ts';
import { activeCredentials } from '../src/api/authentication/credentials.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';

const { api } = await openTestDatabases(t);
const directory = t.testdir({ 'no-key.pem': 'nothing' });
const config = join(directory, 'api.yaml');
const publicKeyFile = join(directory, 'public.pem');
const pem = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
writeFileSync(publicKeyFile, pem);
writeFileSync(
  config,
  stringify({
    kind: 'api',
    application: { port: 1, certificateFile: 'a', privateKeyFile: 'b' },
    driver: {
      port: 2,
      certificateFile: 'a',
      privateKeyFile: 'b',
      clientCaFile: 'c',
      nodes: [{ name: 'n', keyStore: 'k' }],
    },
    database: api,
    userActionSecretFile: 'd',
    keyStores: [{ id: 'k', primary: true, attestationPublicKey: `04${'00'.repeat(64)}` }],
  }),
);
const pool = createPool(api, { applicationName: 'test', max: 1, durability: 'durable' }, createLog('silent', {}));
t.teardown(() => pool.end());

function init(...options: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = join(import.meta.dirname, '../src/cli/main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, [program, 'init', '--config', config, ...options], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

t.test('init prints what an application needs to call, and keeps only the hash of its token', async (t) => {
  const { code, stdout, stderr } = await init('--organisation', 'First', '--credential-public-key', publicKeyFile);
  t.equal(code, 0, stderr);
  const created = JSON.parse(stdout);
  t.match(created, {
    orgId: /^or-/,
    userId: /^us-/,
    tokenId: /^to-/,
    authToken: /^[\w-]+\.[\w-]+\.[\w-]{43}$/,
    credentialId: /^cr-/,
  });
  const { requester, allowed } = await readCaller(pool, bearerTokenHash(created.authToken));
  t.same(requester, {
    organisation: created.orgId,
    serviceAccount: created.userId,
    accessToken: created.tokenId,
  });
  t.ok(allowed.has('Keys:Create'), 'the first account may do everything');
  t.same(await activeCredentials(pool, created.userId), [created.credentialId]);
  const claims = JSON.parse(Buffer.from(created.authToken.split('.')[1], 'base64url').toString());
  t.match(claims, {
    sub: created.orgId,
    'https://custom/app_metadata': { orgId: created.orgId, tokenKind: 'ServiceAccount' },
  });
  t.ok(Math.abs(claims.exp - Date.now() / 1000 - 730 * 86_400) < 60, 'valid for 730 days');
  const { rows } = await pool.query('select t::text as row from access_token t');
  t.notMatch(JSON.stringify(rows), created.authToken.slice(-43));
});

t.test('a public key that cannot be a credential creates nothing', async (t) => {
  const before = await pool.query('select id from organisation');
  for (const file of [join(directory, 'no-key.pem'), join(directory, 'missing.pem')]) {
    const { code, stdout, stderr } = await init('--organisation', 'Second', '--credential-public-key', file);
    t.equal(code, 2);
    t.equal(stdout, '');
    t.match(stderr, /^CREDENTIAL_REFUSED: /);
  }
  t.same((await pool.query('select id from organisation')).rows, before.rows);
});
