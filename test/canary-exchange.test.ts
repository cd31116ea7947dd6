import t from 'tap';
import { freePort } from '../scripts/setup/free-port.js';
import type { NodeStatus } from '../src/primary/operations/status.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { makeCertificates } from './support/certificates.ts';
import { runCommand } from './support/command.ts';
import { openTestDatabases } from './support/database.ts';
import { startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { installUnscheduled } from './support/maintenance-node.ts';
import { replaceMasterKey } from './support/replace-master-key.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer } from './support/slot-worker.ts';
import { createKeyStore } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Two nodes that share a master key, until the token of one of them holds another one: nobody asks it to sign meanwhile. */
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installUnscheduled(databases.driver);
const pool = createPool(databases.driver, { applicationName: 'test', durability: 'durable', max: 1 }, quiet);
t.teardown(() => pool.end());
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);

async function start(node: string, at: number) {
  api.listed.add(node);
  const port = await freePort(0);
  const parts = { api, certificates, database: databases.driver, store, slots: store.slots.slice(at, at + 1), node };
  const config = await writeNodeConfiguration(t, parts, { operations: { port }, maintenance: { pollSeconds: 0.5 } });
  const running = startNode(t, config);
  await running.line('slot ready');
  return {
    ...running,
    config,
    async status(): Promise<NodeStatus> {
      return (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as NodeStatus;
    },
  };
}
const [well, changed] = [await start('node-1', 0), await start('node-2', 1)];

async function exchange(): Promise<{ readonly alarms: readonly string[] }> {
  const { code, out, errors } = await runCommand(
    'jobs',
    'run',
    '--job',
    'canary-exchange',
    '--wait',
    '--config',
    well.config,
  );
  if (code !== 0) throw new Error(`${out} ${errors}`);
  return JSON.parse(out.trim().split('\n').at(-1) ?? '');
}

async function openings(): Promise<Record<string, boolean>> {
  const { rows } = await pool.query<{ node: string; opened: boolean }>('select node, opened from test_key_opening');
  return Object.fromEntries(rows.map(({ node, opened }) => [node, opened]));
}

t.test('while both hold the same key, both open what one of them wrapped', async (t) => {
  await exchange();
  await until('both have', async () => {
    const all = await openings();
    return all['node-1'] && all['node-2'];
  });
  t.same((await exchange()).alarms, []);
});

t.test(
  'a slot whose token holds another key takes no work any more, and is named; the other one works on',
  async (t) => {
    const key = await makeKey(api);
    // None is being opened while the key goes: what a token says in that moment is another matter.
    await until('it has opened every test key', async () => {
      const { rows } = await pool.query(
        `select from test_key k where not exists (select from test_key_opening o where o.test_key = k.id and o.node = 'node-2')`,
      );
      return rows.length === 0;
    });
    await replaceMasterKey(store.slots[1], store.ceremony.masterKey.label);
    // As if the test keys of before were new to it.
    await databases.driverAsOwner("delete from test_key_opening where node = 'node-2'");
    await until('its new workers find another master key', async () => {
      const [slot] = (await changed.status()).slots;
      return slot?.state !== 'ready' && slot?.lastFault?.code.startsWith('MASTER_KEY_');
    });
    t.equal(changed.count('slot ready'), 1, 'none of them takes work');
    t.match((await well.status()).slots, [{ state: 'ready', restarts: {} }], 'the other slot is left alone');
    t.equal((await openings())['node-2'], false);
    t.match((await exchange()).alarms, [
      /^slot node-2\/b cannot open a test key of slot node-\d\/[ab], nor its own canary: /,
    ]);
    // Each node reads what jobs said twice a second.
    const shown = await until('every node shows it', async () => {
      const { out } = await runCommand('status', '--config', changed.config);
      return /! canary-exchange: slot node-2\/b cannot open a test key/.test(out) && out;
    });
    t.match(shown, /last fault MASTER_KEY_/);
    const offer = signOffer(key.id);
    api.offer(offer);
    t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  },
);
