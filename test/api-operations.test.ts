import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import t from 'tap';
import { freePort } from '../scripts/setup/free-port.js';
import { createPool } from '../src/shared/database/pool.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { createLog } from '../src/shared/log.ts';
import { openSystem } from './support/system.ts';
import { openTcpProxy } from './support/tcp-proxy.ts';
import { until } from './support/until.ts';

/** What an operator sees of a running API process, and the self-test that an operator runs against it. */
const port = await freePort(0);
/** Where a pooler would stand: all but LISTEN must go through it. */
const server = { host: '127.0.0.1', port: 0 };
const pooler = await openTcpProxy(t, () => server.port);
const system = await openSystem(t, {
  api(configuration) {
    const { database } = configuration;
    server.port = database.port ?? 0;
    return {
      ...configuration,
      operations: { port },
      database: { ...database, port: pooler.port, direct: { ...server } },
    };
  },
});
const page = async (path: string) => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: answer.status, text: await answer.text() };
};

function selfTest(clientFile: string): Promise<{ code: number; out: string; errors: string }> {
  const main = resolve(import.meta.dirname, '../src/cli/main.ts');
  const { promise, resolve: done } = Promise.withResolvers<{ code: number; out: string; errors: string }>();
  execFile(process.execPath, [main, 'self-test', '--config', clientFile, '--json'], (error, out, errors) =>
    done({ code: typeof error?.code === 'number' ? error.code : 0, out, errors }),
  );
  return promise;
}

t.test('the self-test has a signature made on each curve, and uses its keys again', async (t) => {
  const first = await selfTest(system.places.client);
  t.equal(first.code, 0, first.errors);
  const { signatures } = JSON.parse(first.out);
  t.match(signatures, [
    { curve: 'secp256k1', newKey: true },
    { curve: 'ed25519', newKey: true },
  ]);
  const again = JSON.parse((await selfTest(system.places.client)).out).signatures;
  t.match(again, [
    { keyId: signatures[0].keyId, newKey: false },
    { keyId: signatures[1].keyId, newKey: false },
  ]);
});

t.test('an API process tells its calls, its queue and its certificates', async (t) => {
  t.equal((await page('/livez')).status, 200);
  t.equal((await page('/readyz')).status, 200);
  const { text } = await page('/metrics');
  t.match(
    text,
    /hsm_api_call_seconds_count\{listener="application",method="POST",route="\/keys\/:keyId\/signatures",status="200"\} 4\n/,
  );
  t.match(text, /hsm_api_requests_finished_total\{kind="Sign",state="signed",code=""\} 4\n/);
  t.match(text, /hsm_api_requests_finished_total\{kind="GenerateKey",state="made",code=""\} 2\n/);
  t.match(text, /hsm_api_driver_instances\{key_store="local"\} 2\n/);
  t.match(text, /hsm_api_database_answers 1\n/);
  for (const certificate of ['application', 'driver', 'driver client CA']) {
    const expiry = new RegExp(`certificate_expiry_timestamp_seconds\\{certificate="${certificate}"\\} (\\d+)`).exec(
      text,
    );
    t.ok(Number(expiry?.[1]) > Date.now() / 1_000, certificate);
  }
  for (const node of ['node-1', 'node-2']) {
    const expiry = new RegExp(`driver_certificate_expiry_timestamp_seconds\\{node="${node}"\\} (\\d+)`).exec(text);
    t.ok(Number(expiry?.[1]) > Date.now() / 1_000, node);
  }
  t.match(JSON.parse((await page('/status')).text), { readiness: { ready: true }, version: /^\d+\.\d+\.\d+$/ });
});

t.test('behind a pooler, LISTEN goes to the server itself and everything else through the pooler', async (t) => {
  const database = { ...system.databases.api, port: server.port };
  const pool = createPool(
    database,
    { applicationName: 'test', durability: 'durable', max: 1 },
    createLog('silent', {}),
  );
  t.teardown(() => pool.end());
  const { rows } = await pool.query<{ name: string; port: number }>(
    "select application_name as name, client_port as port from pg_stat_activity where application_name like 'hsm-driver api%'",
  );
  const through = new Set(pooler.ports());
  const [listens, others] = [
    rows.filter(({ name }) => name.endsWith('listen')),
    rows.filter(({ name }) => !name.endsWith('listen')),
  ];
  t.equal(listens.length, 1);
  t.notOk(listens.some((one) => through.has(one.port)));
  t.ok(others.length > 0);
  t.ok(others.every((one) => through.has(one.port)));
});

t.test('the queue and its age are seen while nobody takes work', async (t) => {
  const [key] = (await system.sdk.keys.listKeys({})).items;
  await Promise.all(system.nodes.map((node) => node.stop()));
  const held = system.sdk.keys.generateSignature({
    keyId: String(key?.id),
    body: { kind: 'Hash', hash: '00'.repeat(32) },
  });
  await until('the request is seen to wait', async () =>
    /hsm_api_requests_open\{key_store="local",state="queued"\} 1\n/.test((await page('/metrics')).text),
  );
  t.match((await page('/metrics')).text, /hsm_api_oldest_request_seconds\{key_store="local"\} [\d.]+\n/);
  system.startNode(1);
  t.equal((await held).status, 'Signed');
});

t.test('a self-test without an API says so, with an exit code of its own', async (t) => {
  await system.api.stop();
  const { code, errors } = await selfTest(system.places.client);
  t.equal(code, exitCodes.SELF_TEST.code);
  t.match(errors, /SELF_TEST_FAILED: .*does not answer \(ECONNREFUSED\)/);
});
