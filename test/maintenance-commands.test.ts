import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { freePort } from '../scripts/setup/free-port.js';
import type { NodeStatus } from '../src/primary/operations/status.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { createLog } from '../src/shared/log.ts';
import { installMaintenance } from '../src/shared/maintenance/install.ts';
import type { JobStatus } from '../src/shared/maintenance/job-statuses.ts';
import { queueNames } from '../src/shared/maintenance/queues.ts';
import { makeCertificates } from './support/certificates.ts';
import { runCommand } from './support/command.ts';
import { openTestDatabases } from './support/database.ts';
import { type DriverNode, type LogLine, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A real node and the commands, with the roles that an administrator gives them. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const parts = { api, certificates, database: databases.driver, store };
const port = await freePort(0);
const maintenance = { pollSeconds: 0.5 };
const config = await writeNodeConfiguration(t, parts, { operations: { port }, maintenance });

/** With the owner’s role, for `migrate`. */
const ownersConfig = join(temporaryDirectory(t), 'owner.yaml');
const { caFile, ...client } = { caFile: certificates.serverCaFile, ...(await certificates.client('node-1')) };
writeFileSync(
  ownersConfig,
  stringify({
    kind: 'driver',
    node: 'node-1',
    keyStore: store.keyStore,
    api: { addresses: [api.address], caFile, ...client },
    database: databases.driver,
    ceremonyFile: store.ceremonyFile,
    slots: store.slots.slice(0, 1),
  }),
);

async function status(): Promise<NodeStatus> {
  return (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as NodeStatus;
}

/** What it says of rights and schema. A busy machine has warnings of its own: a lost view, a worker that is replaced. */
function complaintsOf({ log }: DriverNode): readonly LogLine[] {
  return log.filter(
    ({ level, ...line }) =>
      ['warn', 'error', 'fatal'].includes(String(level)) &&
      /permission denied|must be owner|does not exist|migrate/.test(JSON.stringify(line)),
  );
}

t.test('before migrate has made the queues, a node signs and the command says what to do', async (t) => {
  const node = startNode(t, config);
  await node.line('slot ready');
  const listed = await runCommand('jobs', 'list', '--config', config);
  t.equal(listed.code, exitCodes.SCHEMA.code);
  t.match(listed.errors, /hsm-driver migrate/);
  t.match(await status(), { maintenance: { reachable: false }, slots: [{ state: 'ready' }] });
});

t.test('migrate makes the queues, once, whoever runs it how often', async (t) => {
  const runs = await Promise.all([1, 2, 3].map(() => runCommand('migrate', '--config', ownersConfig)));
  t.strictSame(
    runs.map(({ code, errors }) => ({ code, errors })),
    runs.map(() => ({ code: 0, errors: '' })),
  );
  t.match((await runCommand('migrate', '--config', ownersConfig)).out, /is up to date/);
});

t.test('many that migrate at the same moment do not stand in each other’s way', async (t) => {
  const log = createLog('silent', {});
  const all = await Promise.all(Array.from({ length: 8 }, () => installMaintenance(databases.driver, log)));
  t.same(
    all,
    all.map(() => []),
    'there is nothing left to make',
  );
});

t.test('a job that is asked for runs on a node, and list, status and metrics show what it said', async (t) => {
  const node = startNode(t, config);
  const [asked, again] = await Promise.all([
    runCommand('jobs', 'run', '--job', 'node-reaping', '--wait', '--config', config),
    // Others may be due just now.
    node
      .line('maintenance job done', ({ job }) => job === 'node-reaping')
      .then(() => runCommand('jobs', 'list', '--json', '--config', config)),
  ]);
  t.strictSame({ code: asked.code, errors: asked.errors }, { code: 0, errors: '' });
  t.match(asked.out, /"forgotten":0/);
  const jobs = JSON.parse(again.out) as JobStatus[];
  t.strictSame(
    jobs.map(({ job }) => job),
    queueNames,
    'all jobs are listed, those that never ran included',
  );
  const reaping = jobs.find(({ job }) => job === 'node-reaping');
  t.match(reaping, { state: 'done', node: 'node-1', facts: { forgotten: 0 }, alarms: [], problem: null });
  t.ok(Date.parse(reaping?.nextDueAt ?? '') > Date.now());

  const seen = await until('status shows it', async () =>
    (await status()).maintenance.jobs.find(({ job, state }) => job === 'node-reaping' && state === 'done'),
  );
  t.match(seen, { lastDoneAt: /^\d{4}-/, nextDueAt: /:05:00/ });
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  t.match(metrics, /hsm_driver_job_failed\{job="node-reaping"\} 0/);
  t.match(metrics, /hsm_driver_job_alarms\{job="node-reaping"\} 0/);
  t.match(metrics, /hsm_driver_job_last_done_timestamp_seconds\{job="node-reaping"\} \d/);
  // Another job may have been due in the meantime.
  t.match((await runCommand('status', '--config', config)).out, /maintenance: [1-9]\d* of \d+ jobs have been done/);
  node.signalGroup('SIGTERM');
  t.match(await node.exited, { code: 0 });
  t.strictSame(complaintsOf(node), [], 'a node with its runtime role has nothing to complain about');
});

t.test('a job that does not exist, and one that did not fail, are refused', async (t) => {
  const unknown = await runCommand('jobs', 'run', '--job', 'nonsense', '--config', config);
  t.equal(unknown.code, exitCodes.USAGE.code);
  t.match(unknown.errors, /--job is one of .*node-reaping/);
  const retried = await runCommand('jobs', 'retry', '--job', 'node-reaping', '--config', config);
  t.equal(retried.code, exitCodes.USAGE.code);
  t.match(retried.errors, /NOT_FOUND: .*a failed run of node-reaping/);
});

t.test('a run that has failed for good is tried again when somebody asks for it', async (t) => {
  const asked = await runCommand('jobs', 'run', '--job', 'backup-check', '--config', config);
  t.match(asked, { code: 0, out: /^backup-check is asked for \(/ });
  // No node is there to try it; as if one had, as often as the queue allows.
  await databases.driverAsOwner(
    `update maintenance.job set state = 'failed', started_on = now(), completed_on = now(), retry_count = retry_limit
     where name = 'backup-check' and state = 'created'`,
  );
  const node = startNode(t, config);
  await node.line('slot ready');
  const retried = await runCommand('jobs', 'retry', '--job', 'backup-check', '--config', config);
  t.match(retried, { code: 0, out: /^backup-check is tried again \(/ });
  await node.line('maintenance job done', ({ job }) => job === 'backup-check');
});
