import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import t, { type Test } from 'tap';
import { freePort } from '../scripts/setup/free-port.js';
import type { NodeStatus } from '../src/primary/operations/status.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { type DriverNode, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer } from './support/slot-worker.ts';
import { createKeyStore, pin } from './support/soft-token.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const parts = { api, certificates, database: databases.driver, store };

interface Page {
  readonly status: number;
  readonly text: string;
}

interface Operated {
  readonly node: DriverNode;
  readonly config: string;
  page(path: string, method?: string): Promise<Page>;
  status(): Promise<NodeStatus>;
}

async function operate(t: Test, change: Partial<Parameters<typeof writeNodeConfiguration>[1]> = {}): Promise<Operated> {
  const port = await freePort(0);
  const config = await writeNodeConfiguration(t, { ...parts, ...change }, { operations: { port } });
  const node = startNode(t, config);
  await node.line('operations server started');
  const page = async (path: string, method = 'GET'): Promise<Page> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return { status: answer.status, text: await answer.text() };
  };
  return { node, config, page, status: async () => JSON.parse((await page('/status')).text) };
}

/** `hsm-driver status`, to its end. */
function statusCommand(config: string, ...options: string[]): Promise<{ code: number; out: string; errors: string }> {
  const main = resolve(import.meta.dirname, '../src/cli/main.ts');
  const { promise, resolve: done } = Promise.withResolvers<{ code: number; out: string; errors: string }>();
  execFile(process.execPath, [main, 'status', '--config', config, ...options], (error, out, errors) =>
    done({ code: typeof error?.code === 'number' ? error.code : 0, out, errors }),
  );
  return promise;
}

/** The value of one series, by its name and all of its labels that are given. */
function series(metrics: string, name: string, labels: Record<string, string> = {}): number | undefined {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = metrics
    .split('\n')
    .find(
      (one) => (one.startsWith(`${name}{`) || one.startsWith(`${name} `)) && wanted.every((part) => one.includes(part)),
    );
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}

t.test('pages of a node at work: live, ready, its whole state, and numbers that survive a worker', async (t) => {
  const { node, config, page, status } = await operate(t);
  t.match(await page('/livez'), { status: 200, text: /"live":true/ });
  await until('ready', async () => (await page('/readyz')).status === 200);
  const key = await makeKey(api);
  const sign = async (): Promise<void> => {
    const offer = signOffer(key.id);
    api.offer(offer);
    t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  };
  await sign();

  const now = await until('reported', async () => {
    const status_ = await status();
    return status_.slots[0]?.masterKeyId !== undefined && status_.cluster.leader !== undefined && status_;
  });
  t.match(now, {
    node: 'node-1',
    keyStore: 'store',
    version: /^\d/,
    readiness: { ready: true, reasons: [] },
    certificate: { notAfter: /^20/ },
    cluster: { reachable: true, leader: { node: 'node-1', self: true }, nodes: [{ node: 'node-1', live: true }] },
    slots: [
      {
        name: 'a',
        state: 'ready',
        pin: 'accepted',
        breaker: 'closed',
        crashLoop: false,
        threads: { total: 2 },
        masterKeyId: store.ceremony.masterKey.id,
        token: { label: 'token a' },
        capabilities: ['GenerateKey:ECDSA/secp256k1'],
        restarts: {},
      },
    ],
  });
  t.ok((now.slots[0]?.probe ?? []).length > 0, 'the probe table');

  const signed = { slot: 'a', kind: 'Sign', outcome: 'signed' };
  const before = await until('counted', async () => {
    const { text } = await page('/metrics');
    return series(text, 'hsm_driver_requests_total', signed) === 1 && text;
  });
  t.equal(series(before, 'hsm_driver_requests_total', { kind: 'GenerateKey', outcome: 'made' }), 1);
  t.equal(series(before, 'hsm_driver_request_seconds_count', { slot: 'a', kind: 'Sign' }), 1);
  t.equal(series(before, 'hsm_driver_hsm_seconds_bucket', { slot: 'a', kind: 'Sign', le: '+Inf' }), 1);
  t.equal(series(before, 'hsm_driver_slot_state', { slot: 'a', state: 'ready' }), 1);
  t.equal(series(before, 'hsm_driver_slot_state', { slot: 'a', state: 'latched' }), 0);
  t.equal(series(before, 'hsm_driver_slot_breaker', { slot: 'a', state: 'closed' }), 1);
  t.equal(series(before, 'hsm_driver_slot_pin', { slot: 'a', state: 'accepted' }), 1);
  t.equal(
    series(before, 'hsm_driver_slot_info', {
      master_key: store.ceremony.masterKey.id,
      serial: now.slots[0]?.token?.serial ?? '',
    }),
    1,
  );
  t.equal(series(before, 'hsm_driver_session_threads', { slot: 'a' }), 2);
  t.ok(Math.abs(series(before, 'hsm_driver_clock_ahead_seconds', { slot: 'a' }) ?? Number.NaN) < 60, 'one machine');
  t.equal(series(before, 'hsm_driver_cluster_leader'), 1);
  t.equal(series(before, 'hsm_driver_cluster_nodes', { state: 'live' }), 1);
  for (const certificate of ['client', 'API CA']) {
    const ends = series(before, 'hsm_driver_certificate_expiry_timestamp_seconds', { certificate }) ?? 0;
    t.ok(ends > Date.now() / 1_000, certificate);
  }
  t.equal(series(before, 'hsm_driver_build_info', { version: now.version }), 1);
  t.ok((series(before, 'hsm_driver_events_total', { event: 'journal_rows' }) ?? 0) >= 1);
  t.notMatch(before, new RegExp(key.id), 'no key is a label');

  process.kill((await node.line('slot ready')).pid, 'SIGKILL');
  await node.line('slot ready', undefined, 2);
  await sign();
  const after = await until('counted on', async () => {
    const { text } = await page('/metrics');
    return series(text, 'hsm_driver_requests_total', signed) === 2 && text;
  });
  t.equal(series(after, 'hsm_driver_request_seconds_count', { slot: 'a', kind: 'Sign' }), 2);
  t.equal(series(after, 'hsm_driver_worker_restarts_total', { slot: 'a', reason: 'SIGNAL' }), 1);

  const text = await statusCommand(config);
  t.equal(text.code, 0, text.errors);
  t.match(text.out, /^node-1 {2}ready .*\n/);
  t.match(text.out, /a +ready +\d+ s +token a \S+ +accepted +closed +0\/2 +0 +reached +1\n/);
  t.match(text.out, /led by node-1/);
  t.match(JSON.parse((await statusCommand(config, '--json')).out), { node: 'node-1', slots: [{ state: 'ready' }] });

  t.match(await page('/secrets'), { status: 404 });
  t.match(await page('/status', 'POST'), { status: 405 });
  for (const one of ['/status', '/metrics', '/readyz']) t.notMatch((await page(one)).text, pin, `no PIN on ${one}`);
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
  t.match(await statusCommand(config), { code: exitCodes.NOT_READY.code, errors: /NODE_NOT_ANSWERING.*ECONNREFUSED/ });
});

t.test('a node is ready once it has leased, and a loss of the API later does not make it unready', async (t) => {
  await api.stop();
  const { node, config, page } = await operate(t);
  await node.line('slot ready');
  const waits = await until('the worker reports', async () => {
    const one = await page('/readyz');
    return one.text.includes('cannot reach the signing API') && one;
  });
  t.equal(waits.status, 503);
  t.match(JSON.parse(waits.text), {
    ready: false,
    reasons: [/slot a cannot reach the signing API/, /has not asked for work/],
  });
  t.equal((await statusCommand(config)).code, 0, 'a slot is ready');
  await api.start();
  await until('ready', async () => (await page('/readyz')).status === 200);
  await api.stop();
  await until('lost again', async () => (await page('/readyz')).text.includes('cannot reach the signing API'));
  t.equal((await page('/readyz')).status, 200);
  await api.start();
});

t.test(
  'what the signing API says instead of an answer stands in the status, and is not called a lost network',
  async (t) => {
    t.teardown(() => {
      api.intercept = undefined;
    });
    const { page, status } = await operate(t);
    const reasons = async (): Promise<string[]> => JSON.parse((await page('/readyz')).text).reasons;
    await until('ready', async () => (await page('/readyz')).status === 200);
    for (const [answer, kind, reason] of [
      [503, 'unwell', 'slot a is answered with an error by the signing API: DATABASE_UNREACHABLE: it is away'],
      [403, 'refused', 'slot a is refused by the signing API: DATABASE_UNREACHABLE: it is away'],
    ] as const) {
      const body = { error: { code: 'DATABASE_UNREACHABLE', message: 'it is away' } };
      api.intercept = () => ({ status: answer, body });
      await until(kind, async () => (await reasons()).includes(reason));
      t.match((await status()).slots[0], { state: 'ready', api: 'lost', apiTrouble: { kind, said: /it is away/ } });
    }
    api.intercept = undefined;
    await until('reached again', async () => (await reasons()).length === 0);
    t.notHas((await status()).slots[0], { apiTrouble: {} });
  },
);

t.test('a node without a working slot says why, and its status command fails', async (t) => {
  const [slot] = store.slots;
  const { node, config, page } = await operate(t, { slots: [{ ...slot, tokenLabel: 'elsewhere' }, store.slots[1]] });
  await node.line('slot ready');
  await until('one works', async () => (await page('/readyz')).status === 200);
  t.match((await page('/readyz')).text, /slot a is (recovering|starting)/);
  await databases.stop();
  t.match(
    await until('the cluster’s tables are gone', async () => {
      const { text } = await page('/status');
      return text.includes('"reachable":false') && text;
    }),
    /"ready":true/,
  );
  await databases.restart();
  process.kill((await node.line('slot ready')).pid, 'SIGSTOP');
  t.match(
    await until('fails', async () => {
      const shown = await statusCommand(config);
      return shown.code !== 0 && shown;
    }),
    { code: exitCodes.NOT_READY.code, errors: /NO_SLOT_READY/, out: /! slot a is/ },
  );
});

t.test('a taken port: exit code LISTEN; no section: no server, and the command says so', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void server.close());
  await new Promise((listening) => server.once('listening', listening));
  const { port } = server.address() as { port: number };
  const node = startNode(t, await writeNodeConfiguration(t, parts, { operations: { port } }));
  t.strictSame(await node.exited, { code: exitCodes.LISTEN.code, signal: null });
  t.match(node.errors(), /LISTEN_FAILED.*EADDRINUSE/);
  const without = await writeNodeConfiguration(t, parts);
  t.match(await statusCommand(without), { code: exitCodes.CONFIGURATION.code, errors: /OPERATIONS_NOT_CONFIGURED/ });
});
