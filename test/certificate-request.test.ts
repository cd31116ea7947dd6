import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { repository } from '../scripts/local/places.ts';
import { openAuthority } from '../src/shared/crypto/certificate-authority.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';

/** `hsm-driver certificate request`, answered by OpenSSL as an operator’s CA would. */
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-request-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const config = join(directory, 'node.yaml');
writeFileSync(
  config,
  stringify({
    kind: 'driver',
    node: 'node-7',
    keyStore: 'main',
    api: {
      addresses: ['https://a.example'],
      caFile: 'ca.pem',
      certificateFile: 'node.pem',
      privateKeyFile: 'node.key',
    },
    database: { host: 'h', name: 'n', user: 'u' },
    ceremonyFile: 'c.json',
    slots: [{ name: 's', module: '/m.so', tokenLabel: 't', pinFile: 'p' }],
  }),
);
const request = (...options: string[]) =>
  new Promise<{ code: number; out: string; errors: string }>((resolve) => {
    const main = join(repository, 'src/cli/main.ts');
    execFile(process.execPath, [main, 'certificate', 'request', '--config', config, ...options], (error, out, errors) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, errors }),
    );
  });
const openssl = (...args: string[]) =>
  execFileSync('openssl', args, { encoding: 'utf8', cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });

t.test('the key stays on the node, and a CA signs what leaves it', async (t) => {
  const { code, out, errors } = await request('--out', join(directory, 'node-7.csr'));
  t.equal(code, 0, errors);
  t.notMatch(out + readFileSync(join(directory, 'node-7.csr'), 'utf8'), 'PRIVATE');
  t.equal(statSync(join(directory, 'node.key')).mode & 0o777, 0o600);
  t.match(
    openssl('req', '-in', 'node-7.csr', '-noout', '-verify', '-subject', '-text'),
    /CN ?= ?node-7[\s\S]*TLS Web Client Authentication/,
  );

  await openAuthority(directory, 'Driver CA');
  writeFileSync(join(directory, 'extensions'), 'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n');
  openssl(
    'x509',
    '-req',
    '-in',
    'node-7.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-days',
    '90',
    '-extfile',
    'extensions',
    '-out',
    'node.pem',
  );
  t.match(openssl('verify', '-purpose', 'sslclient', '-CAfile', 'ca.pem', 'node.pem'), 'OK');
  const publicKey = openssl('pkey', '-in', 'node.key', '-pubout');
  t.equal(openssl('x509', '-in', 'node.pem', '-noout', '-pubkey'), publicKey);
});

t.test('a key that is there is not written over', async (t) => {
  const before = readFileSync(join(directory, 'node.key'), 'utf8');
  const { code, errors } = await request();
  t.equal(code, exitCodes.SECRET_FILE.code);
  t.match(errors, /KEY_FILE_NOT_WRITTEN: .*node\.key \(EEXIST\)/);
  t.equal(readFileSync(join(directory, 'node.key'), 'utf8'), before);
});
