import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import type { Difference } from '../src/primary/reconciliation/reconcile.ts';
import { connectionOptions } from '../src/shared/database/pool.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import type { JobStatus } from '../src/shared/maintenance/job-statuses.ts';
import { runCommand } from './support/command.ts';
import { forgetSchedules } from './support/maintenance-node.ts';
import { openSystem } from './support/system.ts';
import { until } from './support/until.ts';

/** Maintenance in the whole system: two nodes with a token each, real keys, the signing API beside them. */
t.setTimeout(400_000);
const maintenance = { pollSeconds: 0.5 };
const system = await openSystem(t, {
  node: (configuration) => ({ ...configuration, maintenance }),
  // Jobs run when this test asks: one that is due at a full ten minutes would change what the next one says.
  migrated: ({ driver }) => forgetSchedules(driver),
});
const config = join(system.places.node(1), 'config.yaml');
const owner = await ownerOf(system.databases.driver);
const apiOwner = await ownerOf(system.databases.api);
const keys = [
  await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }),
  await system.sdk.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } }),
  await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }),
];
const [first, second, third] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];

async function ownerOf(database: (typeof system.databases)['driver']): Promise<pg.Client> {
  const options = { applicationName: 'test', durability: 'durable', role: 'owner' } as const;
  const client = new pg.Client(connectionOptions(database, options));
  // The server of the system stops before this client’s end is heard.
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end().catch(() => {}));
  return client;
}

async function runJob(job: string): Promise<Record<string, unknown> & { readonly alarms: readonly string[] }> {
  const { code, out, errors } = await runCommand('jobs', 'run', '--job', job, '--wait', '--config', config);
  if (code !== 0) throw new Error(`${job}: ${out} ${errors}`);
  return JSON.parse(out.trim().split('\n').at(-1) ?? '');
}

async function reconcile() {
  const { code, out, errors } = await runCommand('reconcile', '--json', '--config', config);
  const { differences, ...counts } = JSON.parse(out) as { differences: Difference[]; apiKeys: number };
  return { code, errors, differences, counts };
}

t.test('every stored key opens and signs on a real token', async (t) => {
  t.match(await runJob('key-audit'), { keys: 3, checked: 3, holds: 3, round: 2, alarms: [] });
});

t.test('a row that was changed is found, named in an alarm, and never tagged anew', async (t) => {
  const before = await owner.query('select tag, status from wrapped_key where key_id = $1', [first.id]);
  await owner.query('update wrapped_key set blob = set_byte(blob, 9, 255 - get_byte(blob, 9)) where key_id = $1', [
    first.id,
  ]);
  t.match(await runJob('key-audit'), { holds: 2, tag: 1, alarms: [`1 stored keys fail (tag): ${first.id}`] });
  const after = await owner.query('select tag, status from wrapped_key where key_id = $1', [first.id]);
  t.strictSame(after.rows, before.rows);
  const listed = await runCommand('jobs', 'list', '--config', config);
  t.match(listed.out, `! key-audit: 1 stored keys fail (tag): ${first.id}`);

  await owner.query('update wrapped_key set blob = set_byte(blob, 9, 255 - get_byte(blob, 9)) where key_id = $1', [
    first.id,
  ]);
  t.match(await runJob('key-audit'), { alarms: [] }, 'once it is mended the alarm is over');
});

t.test('a test key that one slot wrapped is opened by the slots of both nodes', async (t) => {
  await runJob('canary-exchange');
  await until('both slots have opened it', async () => {
    const { rows } = await owner.query('select node, opened from test_key_opening where opened order by node');
    return rows.length === 2 && rows;
  });
  t.match(await runJob('canary-exchange'), { alarms: [] });
});

t.test('a slot that could not open a test key is named, and whether it is well itself', async (t) => {
  await owner.query(`update test_key_opening set opened = false, problem = 'KEY_UNUSABLE' where node = 'node-2'`);
  const { alarms } = await runJob('canary-exchange');
  t.match(alarms, [
    /^slot node-2\/\S+ is well and cannot open a test key that slot node-\d\/\S+ wrapped: KEY_UNUSABLE$/,
  ]);
  await owner.query('delete from test_key');
});

t.test('both databases know the same keys; what differs is listed, and the exit code says so', async (t) => {
  await owner.query(`update wrapped_key set created_at = created_at - interval '1 hour'`);
  t.match(await reconcile(), { code: 0, differences: [], counts: { apiKeys: 3, storedKeys: 3 } });
  t.match(await runJob('reconciliation'), { apiKeys: 3, storedKeys: 3, alarms: [] });

  await owner.query(`create temp table away as select * from wrapped_key where key_id = '${first.id}'`);
  await owner.query('delete from wrapped_key where key_id = $1', [first.id]);
  await apiOwner.query(`create temp table away as select * from key where id = '${second.id}'`);
  await apiOwner.query('delete from key where id = $1', [second.id]);
  await owner.query("update wrapped_key set organisation = 'or-thief' where key_id = $1", [third.id]);

  const found = await reconcile();
  t.equal(found.code, exitCodes.DIFFERENT.code);
  t.match(found.errors, /DATABASES_DIFFER: .*1 missing here, 1 unknown to the API, 1 different/);
  t.strictSame(
    found.differences.map(({ kind, keyId }) => ({ kind, keyId })).toSorted((a, b) => (a.kind < b.kind ? -1 : 1)),
    [
      { kind: 'different', keyId: third.id },
      { kind: 'missing here', keyId: first.id },
      { kind: 'unknown to the API', keyId: second.id },
    ],
  );
  t.match(await runJob('reconciliation'), {
    alarms: [/1 missing here, 1 unknown to the API, 1 different; run hsm-driver reconcile/],
  });
  const { rows } = await owner.query(`select entry from audit_entry where entry like '%"kind":"databases-differ"%'`);
  t.equal(rows.length, 1, 'the audit log tells of it');

  await owner.query('insert into wrapped_key select * from away');
  await apiOwner.query('insert into key select * from away');
  await owner.query('update wrapped_key set organisation = $2 where key_id = $1', [third.id, system.client.orgId]);
  t.match(await reconcile(), { code: 0, differences: [] });
});

t.test(
  'a job whose node is killed is taken over by the other node, and its first attempt changes nothing',
  async (t) => {
    // Holds the audit between its checks and its next step, on whichever node it is.
    await owner.query('begin');
    await owner.query('select 1 from key_audit for update');
    const asked = runCommand('jobs', 'run', '--job', 'key-audit', '--wait', '--config', config);
    const held = await until('a node works on it', async () => {
      const listed = await runCommand('jobs', 'list', '--json', '--config', config);
      return (JSON.parse(listed.out) as JobStatus[]).find(
        ({ job, state }) => job === 'key-audit' && state === 'running',
      );
    });
    const at = held.node === 'node-1' ? 0 : 1;
    const primary = system.nodes[at]?.pid ?? 0;
    process.kill(primary, 'SIGKILL');
    await owner.query('rollback');
    // As if the time had passed in which a node that lives would have been heard of.
    await owner.query(`update maintenance.job set heartbeat_on = now() - interval '5 minutes'
    where name = 'key-audit' and state = 'active'`);
    t.match(await asked, { code: 0 });
    const { rows } = await owner.query(
      `select retry_count, state from maintenance.job where name = 'key-audit' order by created_on desc limit 1`,
    );
    t.match(rows, [{ retry_count: 1, state: 'completed' }]);
    const { rows: reports } = await owner.query(`select node, state from job_report where queue = 'key-audit'`);
    t.strictSame(reports, [{ node: at === 0 ? 'node-2' : 'node-1', state: 'done' }]);
  },
);
