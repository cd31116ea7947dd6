import { randomUUID, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Client } from 'undici';
import { stringify } from 'yaml';
import { startDriverProcess } from '../scripts/local/processes.ts';
import { freePort } from '../scripts/setup/free-port.js';
import { addNode, revokeNode } from '../src/api/driver/driver-nodes.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { makeCertificates, type Pair } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { until } from './support/until.ts';

/** Two real API processes on one database; this test is their drivers and their operator. */
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-list-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const certificates = await makeCertificates(t);
const databases = await openTestDatabases(t);
const log = createLog('silent', {});
const pool = createPool(databases.api, { applicationName: 'test', max: 2, durability: 'durable' }, log);
t.teardown(() => pool.end());
const ports = [await startApi(1), await startApi(2)];

async function startApi(n: number): Promise<number> {
  const secretFile = join(directory, 'secret');
  writeFileSync(secretFile, 'x'.repeat(32), { mode: 0o600 });
  const listener = { host: '127.0.0.1', ...certificates.server };
  const driver = { ...listener, port: await freePort(), clientCaFile: certificates.clientCaFile };
  const configFile = join(directory, `api-${n}.yaml`);
  writeFileSync(
    configFile,
    stringify({
      kind: 'api',
      application: { ...listener, port: await freePort() },
      driver: { ...driver, nodes: [{ name: 'configured', keyStore: 'store' }] },
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
  const api = startDriverProcess(`api-${n}`, ['api', '--config', configFile], join(directory, `api-${n}.log`));
  t.teardown(() => api.stop());
  await api.line('signing API started');
  return driver.port;
}

/** One connection of a driver. */
function connect(t: Test, pair: Pair, port = ports[0] as number) {
  const client = new Client(`https://127.0.0.1:${port}`, {
    connect: {
      ca: readFileSync(certificates.serverCaFile),
      cert: readFileSync(pair.certificateFile),
      key: readFileSync(pair.privateKeyFile),
    },
  });
  t.teardown(() => client.destroy());
  const instance = randomUUID();
  return {
    instance,
    async lease(max = 0, waitMs = 0, holding: readonly string[] = []) {
      const capabilities = ['GenerateKey:ECDSA/secp256k1'];
      const body = JSON.stringify({ instance, slot: 'hsm', capabilities, max, holding, waitMs });
      const headers = { 'content-type': 'application/json' };
      const answer = await client.request({ path: '/driver/v1/lease', method: 'POST', headers, body });
      return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> };
    },
  };
}

t.test('a node that was added may ask, on every process, within a second or so', async (t) => {
  const pair = await certificates.client('by-name');
  t.match(await connect(t, pair).lease(), { status: 403, body: { error: { code: 'DRIVER_NOT_LISTED' } } });
  await addNode(pool, { name: 'by-name', keyStore: 'store' });
  for (const port of ports) await until('listed', async () => (await connect(t, pair, port).lease()).status === 200);
});

t.test('a node that is pinned by fingerprint needs exactly that certificate', async (t) => {
  const pair = await certificates.client('pinned');
  const certificateSha256 = new X509Certificate(readFileSync(pair.certificateFile)).fingerprint256
    .replaceAll(':', '')
    .toLowerCase();
  await addNode(pool, { name: 'pinned', keyStore: 'store', certificateSha256 });
  await until('listed', async () => (await connect(t, pair).lease()).status === 200);
  await addNode(pool, { name: 'pinned', keyStore: 'store', certificateSha256: 'ab'.repeat(32) });
  // Its connections are closed when the list is read: the one that asks in that moment gets no answer.
  await until('no longer', async () => {
    const answer = await connect(t, pair)
      .lease()
      .catch(() => undefined);
    return answer?.status === 403;
  });
});

t.test('a DNS name lets in the certificates that hold it, and no common name', async (t) => {
  const pair = await certificates.client('by-san');
  await addNode(pool, { name: 'by-san', keyStore: 'store', san: 'by-san' });
  const other = await certificates.client('after-it');
  await addNode(pool, { name: 'after-it', keyStore: 'store' });
  await until('the list was read', async () => (await connect(t, other).lease()).status === 200);
  t.equal((await connect(t, pair).lease()).status, 403);
});

t.test('a revoked node’s connections are closed, its leases end at once, and it gets nothing more', async (t) => {
  const pair = await certificates.client('configured');
  const held = connect(t, pair);
  const elsewhere = connect(t, pair, ports[1]);
  t.equal((await elsewhere.lease()).status, 200);
  await pool.query("insert into organisation (id, name) values ('or-1', 'Test') on conflict do nothing");
  await pool.query(
    `insert into request (id, organisation, kind, key_store, capability, state, service_account, access_token, user_action,
       fingerprint, body, key_id, scheme, curve, authorisation)
     values ('key-1', 'or-1', 'GenerateKey', 'store', 'GenerateKey:ECDSA/secp256k1', 'queued', 'us', 'to', 'action', '\\x00',
       '{}', 'key-1', 'ECDSA', 'secp256k1',
       '{"method":"POST","path":"/keys","payload":"","credentialId":"cr","clientData":"aa","signature":"bb"}')`,
  );
  const [leased] = (await held.lease(1, 1_000)).body.requests as { id: string }[];
  t.equal(leased?.id, 'key-1');
  const waiting = elsewhere.lease(1, 5_000).then(
    ({ status }) => status,
    () => 'closed',
  );

  t.equal(await revokeNode(pool, 'configured', 'store'), 1, 'what it held went back');
  const { rows } = await pool.query("select state, instance from request where id = 'key-1'");
  t.same(rows, [{ state: 'queued', instance: null }]);
  t.not(await waiting, 200, 'what waited is not given it');
  const statusOf = async (driver: typeof held): Promise<number> =>
    (await driver.lease(1).catch(() => ({ status: 0 }))).status;
  t.not(await statusOf(held), 200, 'not even until its connection is closed');
  // On its old connection a node stays who it was: only a new one can be told this.
  for (const driver of [held, elsewhere])
    await until('its connection was closed, and a new one is refused', async () => (await statusOf(driver)) === 403);
  for (const port of ports)
    t.match(await connect(t, pair, port).lease(), { status: 403, body: { error: { code: 'DRIVER_REVOKED' } } });
  const { rows: alive } = await pool.query(
    "select 1 from driver_instance where node = 'configured' and ended_at is null",
  );
  t.same(alive, []);
});
