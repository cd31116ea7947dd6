import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { askForRotation } from '../src/cli/keys/rotation-job.ts';
import { createHsmDesk } from '../src/primary/maintenance/hsm-desk.ts';
import { createJobs } from '../src/primary/maintenance/jobs/index.ts';
import { createRotationJob } from '../src/primary/maintenance/jobs/rotate-keys.ts';
import { createMaintenance } from '../src/primary/maintenance/maintenance.ts';
import { allowRotation } from '../src/primary/rotation/allow-rotation.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { createLog } from '../src/shared/log.ts';
import { installMaintenance } from '../src/shared/maintenance/install.ts';
import { type JobReport, readReports } from '../src/shared/maintenance/reports.ts';
import type { SignedOrder } from '../src/shared/orders/order.ts';
import {
  insertRotation,
  openRotation,
  type Rotation,
  readRotations,
  stepRotation,
} from '../src/shared/rotation/rotation-rows.ts';
import { answeringMoves } from '../src/worker/jobs/hsm-calls.ts';
import { createHsmMaintenance } from '../src/worker/maintenance/hsm-maintenance.ts';
import { createPace } from '../src/worker/maintenance/pace.ts';
import { createSlotState } from '../src/worker/slot-state.ts';
import { runCommand } from './support/command.ts';
import { openTestDatabases } from './support/database.ts';
import { asDriverDatabase, keyRowsFrom } from './support/key-rows.ts';
import { open } from './support/open-hsm.ts';
import { makeOperators } from './support/operators.ts';
import { createRotationStore } from './support/rotation-store.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * A rotation goes on only while an order of the operators is good, whatever the rows say: against a writer in the driver
 * database who has each order that operators ever signed, and against time. The rotation node’s job, HSM and database.
 */
const keyCount = 250;
const dayMs = 86_400_000;

const log = createLog('silent', {});
const databases = await openTestDatabases(t);
await installMaintenance(databases.driver, log);
const pool = createPool(databases.driver, { applicationName: 'test', max: 3, durability: 'relaxed' }, log);
t.teardown(() => pool.end());
const store = await createRotationStore(t);
await keyRowsFrom(store, pool, 'P-256', keyCount);
const directory = temporaryDirectory(t);
const operators = makeOperators(directory, ['alice', 'bob', 'carol'], 2);
const wanted = { kind: 'master-key', fromId: store.ceremony.masterKey.id, toId: store.next.masterKey.id } as const;
const subject = `master-key ${wanted.fromId} to ${wanted.toId}`;

const node = { node: 'rotation', keyStore: store.keyStore };
const files = { ceremonyFile: store.nextFile, furtherCeremonyFiles: [store.ceremonyFile] };
const configuration = { ...node, ...files, operators: operators.configuration };
const { owner: _, ...database } = databases.driver;
const config = join(directory, 'rotation.yaml');
writeFileSync(
  config,
  stringify({
    ...{ kind: 'driver', ...configuration, database, rotation: {} },
    ...{ stateDirectory: temporaryDirectory(t), slots: [store.rotation] },
  }),
);

/** As if so much time had passed, for the node and for its database. */
let laterMs = 0;
let keysPerSecond = 50;
await startRotationNode();

async function startRotationNode(): Promise<void> {
  const hsm = await open({ ceremony: store.next, further: [store.ceremony] }, store.rotation, 'rotation');
  t.teardown(() => hsm.stop());
  const state = createSlotState(log);
  state.to('probing');
  state.to('ready');
  const slot = createHsmMaintenance({
    ...{ keyStore: store.keyStore, hsm, moving: answeringMoves(hsm), database: asDriverDatabase(pool) },
    ...{ device: { judge: async () => 'sound' }, state, pace: createPace(() => false), log },
  });
  const settings = { pollSeconds: 0.5, keyAuditDays: 7, journalDays: 400 };
  const job = createRotationJob('master-key', {
    keysPerSecond: () => keysPerSecond,
    allow: (rotation) =>
      allowRotation(configuration, { ...rotation, readAtMs: rotation.readAtMs + laterMs }, Date.now() + laterMs),
    origin: () => node,
  });
  const maintenance = createMaintenance({
    configuration: { ...node, database: databases.driver, maintenance: settings, rotation: { keysPerSecond } },
    hsm: createHsmDesk({ readySlots: () => ['r'], askHsm: async (_slot, work) => await slot.take(work) }),
    jobs: { ...createJobs(() => ({ ...configuration, maintenance: settings })), 'master-key-rotation': job },
    log,
  });
  t.teardown(() => maintenance.stop());
  maintenance.start();
}

const orderTo = (step: 'start' | 'resume', atMs?: number): SignedOrder =>
  operators.order(store.keyStore, { kind: 'rotation', subject: `${step} ${subject}` }, undefined, atMs);
const writeRow = (order: SignedOrder, id: string = order.order.id, state = 'running') =>
  pool.query(
    `insert into rotation (id, kind, from_id, to_id, state, total, signed_order) values ($1, $2, $3, $4, $5, 0, $6)`,
    [id, wanted.kind, wanted.fromId, wanted.toId, state, JSON.stringify(order)],
  );
const writeState = (id: string, state: string) =>
  pool.query('update rotation set state = $2 where id = $1', [id, state]);

const newest = async (): Promise<Rotation> => {
  const [rotation] = await readRotations(pool);
  if (rotation === undefined) throw new Error('no rotation');
  return rotation;
};
const rowsUnderNewKey = async (): Promise<number> =>
  (await pool.query('select count(*)::int as n from wrapped_key where master_key_id = $1', [wanted.toId])).rows[0]?.n;
const report = async (): Promise<JobReport | undefined> =>
  (await readReports(pool)).find(({ queue }) => queue === 'master-key-rotation');

/** What a run said that began after this call. */
async function nextRun(): Promise<JobReport> {
  const before = (await report())?.startedAt;
  await askForRotation(pool, 'master-key');
  return await until('the job ran', async () => {
    const said = await report();
    return said !== undefined && said.startedAt !== before && said.state !== 'running' && said;
  });
}

/** A run that failed is tried again until there is nothing to do; while one is asked for, no other can be. */
async function stop(id: string, step: 'pause' | 'abort'): Promise<void> {
  await stepRotation(pool, id, step);
  await noneAsked();
}

async function noneAsked(): Promise<void> {
  await until('no run is asked for', async () => {
    const { rows } = await pool.query(
      `select from maintenance.job where name = 'master-key-rotation' and state in ('created', 'retry', 'active')`,
    );
    return rows.length === 0;
  });
}

t.test(
  'a start order that nobody carried out in its time moves nothing: its node pauses it and says why',
  async (t) => {
    for (const [atMs, why] of [
      [Date.now() - dayMs, /it expired at/],
      [Date.now() + dayMs, /it is not valid before/],
    ] as const) {
      const order = orderTo('start', atMs);
      await writeRow(order);
      const { state, alarms, facts } = await nextRun();
      t.match({ state, facts }, { state: 'done', facts: { moved: 0, rotation: 'paused: no order is good now' } });
      t.equal(alarms.length, 1);
      t.match(alarms[0], why);
      t.match(
        alarms[0],
        `hsm-driver rotate resume --order FILE, with a new order of kind rotation and subject “resume ${subject}”`,
      );
      t.match(alarms[0], 'hsm-driver rotate abort');
      t.match(await newest(), { id: order.order.id, state: 'paused', moved: 0 });
      await stop(order.order.id, 'abort');
    }
    t.equal(await rowsUnderNewKey(), 0);
    const { rows } = await pool.query(`select from audit_entry where entry like '%"step":"paused"%'`);
    t.equal(rows.length, 2, 'the audit log tells of it');
  },
);

t.test('a rotation that was aborted stays so, and its order starts no other', async (t) => {
  const order = orderTo('start');
  const { id } = order.order;
  await writeRow(order);
  await stepRotation(pool, id, 'abort');
  await t.rejects(writeState(id, 'running'), { code: '23514' });
  await t.rejects(writeRow(order), { code: '23505' });
  t.equal(await insertRotation(pool, { ...wanted, signedOrder: order }), undefined);
  t.equal(await openRotation(pool), undefined);

  const other = randomUUID();
  await writeRow(order, other);
  t.match(await nextRun(), {
    state: 'failed',
    problem: new RegExp(`is rotation ${other}, and its order starts ${id}`),
  });
  await stop(other, 'abort');
  t.equal(await rowsUnderNewKey(), 0);
});

t.test('a node whose clock has jumped moves nothing, and changes nothing', async (t) => {
  const rotation = await insertRotation(pool, { ...wanted, signedOrder: orderTo('start') });
  if (rotation === undefined) throw new Error('no rotation');
  t.equal(allowRotation(configuration, rotation), 'given');
  for (const aheadMs of [61_000, -61_000, dayMs])
    t.throws(() => allowRotation(configuration, rotation, Date.now() + aheadMs), {
      code: 'ORDER_REFUSED',
      detail: /this node’s clock is -?\d+ s ahead of its database’s/,
    });
  await stepRotation(pool, rotation.id, 'abort');
});

t.test('a paused rotation goes on by no row, and by no order but one to resume it', async (t) => {
  const start = orderTo('start');
  const { id } = start.order;
  await writeRow(start, id, 'paused');
  await writeState(id, 'running');
  t.match(await nextRun(), { state: 'failed', problem: /was resumed without an order/ });
  await stop(id, 'pause');
  for (const [resumedBy, why] of [
    [start, /it orders rotation of start/],
    [operators.order(store.keyStore, orderTo('resume').order.about, ['alice']), /1 of the 2 operators/],
  ] as const) {
    t.ok(await stepRotation(pool, id, 'resume', resumedBy));
    const rotation = await newest();
    t.throws(() => allowRotation(configuration, rotation), { code: 'ORDER_REFUSED', detail: why });
    await writeState(id, 'paused');
  }
  t.ok(await stepRotation(pool, id, 'resume', orderTo('resume', Date.now() - dayMs)));
  t.match(await nextRun(), { state: 'done', alarms: [/it expired at/] });
  t.match(await newest(), { state: 'paused', moved: 0 });
  await stop(id, 'abort');
});

t.test('an order that runs out pauses the rotation, and a new one lets it go on to its end', async (t) => {
  const start = orderTo('start');
  const { id } = start.order;
  t.match(await insertRotation(pool, { ...wanted, signedOrder: start }), { id, total: keyCount });
  await askForRotation(pool, 'master-key');
  await until('some keys are moved', async () => (await newest()).moved > 0);
  laterMs = dayMs;
  const said = await until('the job ends', async () => {
    const now = await report();
    return now?.state === 'done' && now.facts.rotation === 'paused: no order is good now' && now;
  });
  t.match(said.alarms, [/it expired at/]);
  const paused = await newest();
  t.match(paused, { state: 'paused', resumes: 0 });
  t.ok(paused.moved > 0 && paused.moved < keyCount, `${paused.moved} keys were moved in time`);
  laterMs = 0;

  await noneAsked();

  const resume = (...words: string[]) => runCommand('rotate', 'resume', '--config', config, ...words);
  t.equal((await resume()).code, exitCodes.ORDER.code, 'not without an order');
  const order = orderTo('resume');
  const file = join(directory, 'resume.json');
  writeFileSync(file, JSON.stringify(order));
  t.match(await resume('--order', file), { code: 0, out: /goes on/ });
  t.match(await newest(), { state: 'running', resumes: 1, resumedBy: order });
  await until('more keys are moved', async () => (await newest()).moved > paused.moved);

  await stop(id, 'pause');
  t.match((await report())?.facts, { rotation: 'paused or aborted' });
  const { moved } = await newest();
  await t.rejects(writeState(id, 'running'), { code: '23505' }, 'its order has resumed it once');
  await t.rejects(stepRotation(pool, id, 'resume', order), { code: '23505' });
  await pool.query(`update rotation set state = 'running', resumed_by = null where id = $1`, [id]);
  t.match(await nextRun(), { state: 'failed', problem: /was resumed without an order/ });
  t.match(await newest(), { state: 'running', moved });

  keysPerSecond = 100_000;
  await stop(id, 'pause');
  t.ok(await stepRotation(pool, id, 'resume', orderTo('resume')));
  await askForRotation(pool, 'master-key');
  const finished = await until('it is finished', async () => {
    const now = await newest();
    return now.state === 'finished' && now;
  });
  t.match(finished, { id, moved: keyCount, proof: { underOldKey: 0, underNewKey: keyCount } });
  t.equal(await rowsUnderNewKey(), keyCount);
});
