import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import type { ClusterNode, NodeSlot } from '../src/primary/cluster/nodes.ts';
import { whyNotRetire } from '../src/retire/may-retire.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { hsmDriver } from './support/node-commands.ts';
import { open } from './support/open-hsm.ts';
import { makeOperators } from './support/operators.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';

/** One of two HSMs of a key store is taken out of service; the other one is at work on a node. */
const store = await createKeyStore(t);
const databases = await openTestDatabases(t);
const directory = temporaryDirectory(t);
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 1, durability: 'durable' },
  createLog('error', {}),
);
t.teardown(() => pool.end());
const [staying, leaving] = store.slots;
const serialOf = (label: string): string => store.ceremony.tokens.find((token) => token.label === label)?.serial ?? '';
const serial = serialOf(leaving.tokenLabel);
const keys = [store.ceremony.masterKey.id, store.ceremony.integrityKey.id];
const protocol = join(directory, 'ceremony.json');
writeFileSync(protocol, readFileSync(store.ceremonyFile));
const { owner: _, ...database } = databases.driver;

function configuration(name: string, more: object = {}): string {
  const file = join(directory, `${name}.yaml`);
  const api = { addresses: ['https://127.0.0.1:9'], caFile: 'ca', certificateFile: 'c', privateKeyFile: 'k' };
  const common = { kind: 'driver', node: name, keyStore: store.keyStore, api, database, ceremonyFile: protocol };
  const stateDirectory = join(directory, 'state');
  writeFileSync(file, stringify({ ...common, stateDirectory, slots: [leaving], log: { level: 'error' }, ...more }));
  return file;
}
const config = configuration('old-node');
const retire = (...more: string[]) =>
  hsmDriver('retire', '--config', config, '--slot', leaving.name, '--serial', serial, ...more);

const slot = (change: Partial<NodeSlot> = {}): NodeSlot => ({
  name: 'hsm-1',
  token: `${staying.tokenLabel} ${serialOf(staying.tokenLabel)}`,
  state: 'ready',
  forMs: 0,
  why: '',
  keys,
  ...change,
});
const node = (name: string, slots: readonly NodeSlot[], live = true): ClusterNode => ({
  node: name,
  instance: randomUUID(),
  version: 'test',
  slots,
  seenAt: '2026-11-27T00:00:00.000Z',
  live,
});

/** What a running node writes each second. */
async function nodeRow(name: string, slots: readonly NodeSlot[]): Promise<void> {
  await pool.query(
    `insert into node (node, instance, version, slots, seen_at) values ($1, $2, 'test', $3, 'infinity')
     on conflict (node) do update set slots = excluded.slots`,
    [name, randomUUID(), JSON.stringify(slots)],
  );
}

t.test('an HSM may go when no node has it and enough others prove each key that is in use', async (t) => {
  const ready = [node('n1', [slot()]), node('n2', [slot({ token: 'c 3' })])];
  const decide = (nodes: readonly ClusterNode[], others = 2) =>
    whyNotRetire({ serial: '9', nodes, keysInUse: keys, others });
  t.strictSame(decide(ready), []);
  t.match(decide([...ready, node('n3', [slot({ name: 'x', token: 'label with spaces 9' })], false)]), [
    /node n3 \(not running\) has it as slot x/,
  ]);
  const proofs = [/1 other ready HSMs prove mk-.*, 2 must/, /1 other ready HSMs prove ik-.*, 2 must/];
  t.match(decide([node('n1', [slot(), slot({ name: 'b' })])]), proofs, 'the same HSM twice is one');
  t.match(
    decide([node('n1', [slot()]), node('n2', [slot({ token: 'c 3' })], false)]),
    proofs,
    'a dead node proves nothing',
  );
  t.match(decide([node('n1', [slot()]), node('n2', [slot({ token: 'c 3', state: 'latched' })])]), proofs);
  t.match(decide([node('n1', [slot()]), node('n2', [slot({ token: 'c 3', purpose: 'rotation' })])]), proofs);
  t.match(decide([node('n1', [slot()]), node('n2', [slot({ token: 'c 3', keys: keys.slice(0, 1) })])]), [/prove ik-/]);
});

t.test('an HSM that a node still has, or that is not the one that was meant, is left alone', async (t) => {
  await nodeRow('node-2', [slot({ name: 'hsm-2', token: `${leaving.tokenLabel} ${serial}` })]);
  const used = await retire('--yes', '--others', '1');
  t.equal(used.code, 2);
  t.match(used.stderr, /RETIRE_REFUSED: .*node node-2 has it as slot hsm-2/);
  await nodeRow('node-2', [slot()]);
  const other = [
    '--slot',
    leaving.name,
    '--serial',
    serialOf(staying.tokenLabel).replace(/.$/, 'x'),
    '--yes',
    '--others',
    '1',
  ];
  const wrong = await hsmDriver('retire', '--config', config, ...other);
  t.match(wrong.stderr, new RegExp(`RETIRE_REFUSED: .*is the HSM with serial ${serial}`));
  const hsm = await open(store, leaving);
  await hsm.stop();
});

t.test('without --yes nothing is changed; operators must order it', async (t) => {
  const looked = await retire('--others', '1');
  t.equal(looked.code, 0, looked.stderr);
  t.match(looked.stdout, /2 objects of mk-.* can be destroyed\. Nothing was changed/);
  const operators = makeOperators(directory, ['alice'], 1);
  const ordered = configuration('ordered', { operators: operators.configuration });
  const words = ['--slot', leaving.name, '--serial', serial, '--yes', '--others', '1'];
  const refused = await hsmDriver('retire', '--config', ordered, ...words);
  t.equal(refused.code, 25);
  t.match(refused.stderr, new RegExp(`ORDER_MISSING: .*retire of ${serial}`));
  const hsm = await open(store, leaving);
  await hsm.stop();
});

t.test('its keys are destroyed, which the audit log and the protocol tell, and the others go on', async (t) => {
  const { code, stdout, stderr } = await retire('--yes', '--others', '1');
  t.equal(code, 0, stderr);
  t.match(stdout, /2 objects were destroyed/);
  t.match(stdout, /Zeroise the partition/);
  await t.rejects(open(store, leaving), { code: 'MASTER_KEY_MISSING' });
  const hsm = await open(store, staying);
  await hsm.stop();
  const { rows } = await pool.query<{ entry: string }>(
    "select entry from audit_entry where entry like '%hsm-retired%'",
  );
  t.match(JSON.parse(rows[0]?.entry ?? '{}'), {
    tokenSerial: serial,
    masterKeyIds: [store.ceremony.masterKey.id],
    objectsDestroyed: 2,
  });
  const written = JSON.parse(readFileSync(protocol, 'utf8'));
  t.match(written.steps.at(-1), {
    step: 'retire',
    attended: false,
    record: [new RegExp(`\\(${serial}\\) was retired`)],
  });
  t.ok(written.tokens.find((token: { serial: string }) => token.serial === serial).retiredAt);
  t.match((await retire('--others', '1')).stdout, /0 objects/);
});
