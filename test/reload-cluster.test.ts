import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { parse, stringify } from 'yaml';
import { freePort } from '../scripts/setup/free-port.js';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { isAlive, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey } from './support/slot-worker.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Two nodes of one key store, each with a token of its own: what a reload of one means for the other. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 1, durability: 'durable' },
  createLog('silent', {}),
);
t.teardown(() => pool.end());

function edit(file: string, change: Record<string, unknown>): void {
  writeFileSync(file, stringify({ ...parse(readFileSync(file, 'utf8')), ...change }));
}

t.test('a configuration that is wrong and sent to both nodes costs one worker, until it is mended', async (t) => {
  const open = async (name: 'node-1' | 'node-2', slot: (typeof store.slots)[number]) => {
    const parts = { api, certificates, database: databases.driver, store, node: name, slots: [slot] };
    const port = await freePort();
    const file = await writeNodeConfiguration(t, parts, { operations: { port } });
    const node = startNode(t, file);
    const { pid } = await node.line('slot ready');
    await until('its primary knows that it leases', async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok);
    return { name, file, node, pid, right: parse(readFileSync(file, 'utf8')).api };
  };
  const [one, other] = [await open('node-1', store.slots[0]), await open('node-2', store.slots[1])];
  const turns = async (): Promise<{ node: string; granted: boolean; seconds: number }[]> => {
    const { rows } = await pool.query(
      `select node, granted_at is not null as granted, extract(epoch from seen_at - asked_at)::float as seconds
       from turn where purpose = 'replace a worker' order by asked_at`,
    );
    return rows;
  };

  const wrong = { addresses: [`https://127.0.0.1:${await freePort()}`] };
  edit(one.file, { api: { ...one.right, ...wrong } });
  process.kill(one.node.pid, 'SIGHUP');
  await one.node.line('slot ready', undefined, 2);
  edit(other.file, { api: { ...other.right, ...wrong } });
  process.kill(other.node.pid, 'SIGHUP');
  const waiting = await until('the other one has asked in vain, many times', async () => {
    const rows = await turns();
    return rows.length === 2 && (rows[1]?.seconds ?? 0) > 3 && rows;
  });
  t.match(waiting, [
    { node: 'node-1', granted: true },
    { node: 'node-2', granted: false },
  ]);
  t.ok(isAlive(other.pid));
  t.match(await makeKey(api), { id: /^key-/ }, 'it works on, as it was');

  // The other one first: it does not get its turn by being mended, and loses nothing.
  edit(other.file, { api: other.right });
  process.kill(other.node.pid, 'SIGHUP');
  edit(one.file, { api: one.right });
  process.kill(one.node.pid, 'SIGHUP');
  await one.node.line('configuration is in force');
  await other.node.line('configuration is in force');
  t.equal(one.node.count('worker replaced'), 2);
  t.equal(other.node.count('worker replaced'), 1);
  t.same(await until('no turn is left', async () => (await turns()).length === 0), true);
  for (const { node } of [one, other]) {
    node.signalGroup('SIGTERM');
    t.strictSame(await node.exited, { code: 0, signal: null });
  }
});
