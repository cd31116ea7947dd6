import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Pool } from 'undici';
import { stringify } from 'yaml';
import { startDriverProcess } from '../scripts/local/processes.ts';
import { freePort } from '../scripts/setup/free-port.js';
import { makeCertificates, type Pair } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';

/** A real API process; this test is its drivers. */
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-listener-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const certificates = await makeCertificates(t);
const databases = await openTestDatabases(t);
const port = await freePort();
const secretFile = join(directory, 'secret');
writeFileSync(secretFile, 'x'.repeat(32), { mode: 0o600 });
const configFile = join(directory, 'api.yaml');
const listener = { host: '127.0.0.1', ...certificates.server };
writeFileSync(
  configFile,
  stringify({
    kind: 'api',
    application: { ...listener, port: await freePort() },
    driver: {
      ...listener,
      port,
      clientCaFile: certificates.clientCaFile,
      nodes: [{ name: 'node-1', keyStore: 'store' }],
    },
    database: databases.api,
    userActionSecretFile: secretFile,
    keyStores: [
      {
        id: 'store',
        primary: true,
        attestationPublicKey: `04${'6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'}${'4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5'}`,
      },
    ],
  }),
);
const api = startDriverProcess('api', ['api', '--config', configFile], join(directory, 'api.log'));
t.teardown(() => api.stop());
await api.line('signing API started');

const lease = {
  instance: '0197f2e4-6f1c-7c3a-9d35-0a8f4a5c1b20',
  slot: 'hsm-1',
  capabilities: [],
  max: 1,
  holding: [],
  waitMs: 0,
};

async function post(path: string, pair: Pair | undefined, body: unknown = lease) {
  const pool = new Pool(`https://127.0.0.1:${port}`, {
    connect: {
      ca: readFileSync(certificates.serverCaFile),
      ...(pair === undefined
        ? {}
        : { cert: readFileSync(pair.certificateFile), key: readFileSync(pair.privateKeyFile) }),
    },
  });
  try {
    const headers = { 'content-type': 'application/json' };
    const answer = await pool.request({ path, method: 'POST', headers, body: JSON.stringify(body) });
    return {
      status: answer.statusCode,
      body: (await answer.body.json()) as { error?: { code: string; message: string } },
    };
  } finally {
    await pool.close();
  }
}

const calls = ['/driver/v1/lease', '/driver/v1/outcomes', '/driver/v1/release'];

t.test('without a client certificate, or with one that another CA signed, nothing is answered but why', async (t) => {
  for (const path of calls) {
    for (const pair of [undefined, await certificates.strangerClient('node-1')]) {
      const { status, body } = await post(path, pair);
      t.equal(status, 401);
      t.match(body.error, { code: 'CLIENT_CERTIFICATE_MISSING', message: /api\.certificateFile/ });
    }
  }
});

t.test('a certificate of a node that is not on the list is refused by name', async (t) => {
  for (const path of calls) {
    const { status, body } = await post(path, await certificates.client('node-9'));
    t.equal(status, 403);
    t.match(body.error, { code: 'DRIVER_NOT_LISTED', message: /node-9.*driver\.nodes/ });
  }
});

t.test('a listed node is let in, and told which member of a call is wrong', async (t) => {
  const pair = await certificates.client('node-1');
  t.match(await post('/driver/v1/lease', pair), { status: 200, body: { requests: [] } });
  t.match(await post('/driver/v1/lease', pair, { ...lease, max: -1 }), {
    status: 400,
    body: { error: { code: 'BAD_REQUEST', message: /max: / } },
  });
  t.match(await post('/driver/v1/nothing', pair), { status: 404, body: { error: { code: 'NOT_FOUND' } } });
  t.match(await post('/driver/v1/lease', pair, 'not an object'), { status: 400 });
});

t.test('an unknown member of a call is ignored: a newer driver may say more', async (t) => {
  const answer = await post('/driver/v1/lease', await certificates.client('node-1'), { ...lease, mood: 'good' });
  t.equal(answer.status, 200);
});

t.test('while the database is away each call is refused, and the log does not grow with their number', async (t) => {
  const pair = await certificates.client('node-1');
  await databases.stop();
  for (let times = 0; times < 5; times++)
    t.match(await post('/driver/v1/lease', pair, { ...lease, instance: randomUUID() }), {
      status: 503,
      body: { error: { code: 'DATABASE_UNREACHABLE' } },
    });
  await api.line('driver call refused');
  const lines = readFileSync(join(directory, 'api.log'), 'utf8').split('\n');
  t.equal(lines.filter((line) => line.includes('driver call')).length, 1);
  await databases.restart();
});
