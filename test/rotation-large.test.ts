import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createHsmDesk } from '../src/primary/maintenance/hsm-desk.ts';
import { createJobs } from '../src/primary/maintenance/jobs/index.ts';
import { createRotationJob } from '../src/primary/maintenance/jobs/rotate-keys.ts';
import { createMaintenance } from '../src/primary/maintenance/maintenance.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createKeyRing } from '../src/shared/key-ring.ts';
import { createLog } from '../src/shared/log.ts';
import { openBossForCommand } from '../src/shared/maintenance/boss.ts';
import { installMaintenance } from '../src/shared/maintenance/install.ts';
import { readReports } from '../src/shared/maintenance/reports.ts';
import { insertRotation, readRotations, stepRotation } from '../src/shared/rotation/rotation-rows.ts';
import { admitLogin, createLoginGuard } from '../src/worker/hsm/login-guard.ts';
import { proveSlot } from '../src/worker/hsm/probe.ts';
import { openWorkbench } from '../src/worker/hsm/workbench.ts';
import { answeringMoves } from '../src/worker/jobs/hsm-calls.ts';
import { createHsmMaintenance } from '../src/worker/maintenance/hsm-maintenance.ts';
import { createPace } from '../src/worker/maintenance/pace.ts';
import { createSlotState } from '../src/worker/slot-state.ts';
import { tagMessage, type WrappedKey } from '../src/worker/wrapped-key.ts';
import { openTestDatabases } from './support/database.ts';
import { load } from './support/in-process.ts';
import { asDriverDatabase } from './support/key-rows.ts';
import { keyType, open } from './support/open-hsm.ts';
import { createRotationStore } from './support/rotation-store.ts';
import { pin } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * 100,000 keys: a rotation tells its rate and the remaining time, and its memory stays flat. The rows share one private
 * key (a canary of the old master key), and each has its own tag, made by the HSM: what costs is real.
 */
const rowCount = 100_000;
/** After so many the memory is looked at, and so many further ones are enough to see it grow. */
const warmUp = 1_000;
const measured = 4_000;
const allowedGrowthBytes = 40_000_000;

const log = createLog('silent', {});
const databases = await openTestDatabases(t);
await installMaintenance(databases.driver, log);
const pool = createPool(databases.driver, { applicationName: 'test', max: 3, durability: 'relaxed' }, log);
t.teardown(() => pool.end());
const store = await createRotationStore(t);
const ring = createKeyRing(store.next, [store.ceremony]);

await insertRows();
const hsm = await open({ ceremony: store.next, further: [store.ceremony] }, store.rotation, 'rotation');
t.teardown(() => hsm.stop());

async function insertRows(): Promise<void> {
  const canary = store.ceremony.canaries.find(({ curve }) => curve === 'P-256');
  if (canary === undefined) throw new Error('no canary');
  const guard = createLoginGuard();
  admitLogin(guard, Buffer.from(pin));
  const bench = openWorkbench(load(store.rotation), { slot: store.rotation, ring, guard, purpose: 'rotation' });
  bench.arm(proveSlot(bench));
  const { masterKey, integrityKey } = store.ceremony;
  const row = (at: number): Omit<WrappedKey, 'tag'> => ({
    keyId: `key-${String(at).padStart(6, '0')}`,
    requestId: `key-${String(at).padStart(6, '0')}`,
    keyStore: store.keyStore,
    organisation: 'or-test',
    type: keyType('P-256'),
    publicKey: canary.publicKey,
    blob: Buffer.from(canary.blob, 'base64'),
    wrapAlgorithm: masterKey.wrapAlgorithm,
    wrapMechanism: masterKey.wrapMechanism,
    masterKeyId: masterKey.id,
    integrityKeyId: integrityKey.id,
    allowedKinds: [],
    status: 'active',
  });
  const first = row(0);
  for (let from = 0; from < rowCount; from += 10_000) {
    const rows = Array.from({ length: 10_000 }, (_, at) => row(from + at));
    const tags = rows.map((one) => bench.tag(integrityKey.id, tagMessage(one)));
    await pool.query(
      `insert into wrapped_key (key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm,
         wrap_mechanism, master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation)
       select key_id, key_id, $3, $4, 'ECDSA', 'P-256', $5, $6, $7, $8, $9, $10, '{}', 'active', tag, ''
       from unnest($1::text[], $2::bytea[]) as row (key_id, tag)`,
      [
        rows.map(({ keyId }) => keyId),
        tags,
        ...[first.keyStore, first.organisation, Buffer.from(first.publicKey, 'hex'), first.blob],
        ...[first.wrapAlgorithm, first.wrapMechanism, first.masterKeyId, first.integrityKeyId],
      ],
    );
  }
  bench.close();
}

t.test('it tells rate and remaining time, and its memory stays flat', async (t) => {
  const state = createSlotState(log);
  state.to('probing');
  state.to('ready');
  const slot = createHsmMaintenance({
    keyStore: store.keyStore,
    hsm,
    moving: answeringMoves(hsm),
    database: asDriverDatabase(pool),
    device: { judge: async () => 'sound' },
    state,
    pace: createPace(() => false),
    log,
  });
  const node = { node: 'rotation', keyStore: store.keyStore };
  const files = { ceremonyFile: store.nextFile, furtherCeremonyFiles: [store.ceremonyFile] };
  const settings = { pollSeconds: 0.5, keyAuditDays: 7, journalDays: 400 };
  const maintenance = createMaintenance({
    configuration: {
      ...{ ...node, database: databases.driver, maintenance: settings },
      rotation: { keysPerSecond: 100_000 },
    },
    hsm: createHsmDesk({ readySlots: () => ['r'], askHsm: async (_slot, work) => await slot.take(work) }),
    jobs: {
      ...createJobs(() => ({ ...node, ...files, maintenance: settings })),
      'master-key-rotation': createRotationJob('master-key', {
        keysPerSecond: () => 100_000,
        allow: () => 'given',
        origin: () => node,
      }),
    },
    log,
  });
  t.teardown(() => maintenance.stop());
  const wanted = { kind: 'master-key', fromId: store.ceremony.masterKey.id, toId: store.next.masterKey.id } as const;
  const rotation = await insertRotation(pool, wanted);
  t.match(rotation, { total: rowCount });
  const boss = openBossForCommand(pool);
  await boss.start();
  await boss.send('master-key-rotation', null);
  await boss.stop({ graceful: false });
  maintenance.start();

  const moved = async () => (await readRotations(pool))[0]?.moved ?? 0;
  const passed = (count: number) =>
    until(`${count} keys`, async () => (await moved()) >= count && (await moved()), 60_000);
  await passed(warmUp);
  const before = process.memoryUsage.rss();
  await passed(warmUp + measured);
  const grown = process.memoryUsage.rss() - before;
  await sleep(0);
  const facts = (await readReports(pool)).find(({ queue }) => queue === 'master-key-rotation')?.facts as Record<
    string,
    number
  >;
  t.comment(`${JSON.stringify(facts)}; RSS grew by ${Math.round(grown / 1e6)} MB over ${measured} keys`);
  t.ok(grown <= allowedGrowthBytes, `grown by ${grown} bytes`);
  t.equal((facts.moved ?? 0) + (facts.remaining ?? 0), rowCount);
  const expected = (facts.remaining ?? 0) / (facts.keysPerSecond ?? 0);
  t.ok(Math.abs((facts.remainingSeconds ?? 0) - expected) <= 1 + expected / 50, `${facts.remainingSeconds} s left`);

  await stepRotation(pool, rotation?.id ?? '', 'abort');
  const end = await until('the job ends', async () =>
    (await readReports(pool)).find(({ queue, state }) => queue === 'master-key-rotation' && state === 'done'),
  );
  t.match(end.facts, { rotation: 'paused or aborted' });
  const { rows } = await pool.query<{ n: number }>(
    'select count(*)::int as n from wrapped_key where master_key_id = $1',
    [store.next.masterKey.id],
  );
  t.equal(rows[0]?.n, await moved(), 'every moved row is under the new key, the others as they were');
});
