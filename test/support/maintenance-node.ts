import type { Clock } from 'pg-boss';
import type { Test } from 'tap';
import { createHsmDesk, type HsmDesk } from '../../src/primary/maintenance/hsm-desk.ts';
import type { Jobs } from '../../src/primary/maintenance/job.ts';
import { createJobs } from '../../src/primary/maintenance/jobs/index.ts';
import { createMaintenance, type Maintenance } from '../../src/primary/maintenance/maintenance.ts';
import type { DriverConfiguration } from '../../src/shared/configuration/driver.ts';
import type { DatabaseConfiguration } from '../../src/shared/configuration/sections.ts';
import { createPool } from '../../src/shared/database/pool.ts';
import { createLog } from '../../src/shared/log.ts';
import { openBossForCommand } from '../../src/shared/maintenance/boss.ts';
import { installMaintenance } from '../../src/shared/maintenance/install.ts';
import type { QueueName } from '../../src/shared/maintenance/queues.ts';
import { type JobReport, readReports } from '../../src/shared/maintenance/reports.ts';
import type { SlotWorker } from './slot-worker.ts';
import { until } from './until.ts';

export interface MaintenanceNode extends Maintenance {
  /** Log lines, newest last. */
  readonly log: Record<string, unknown>[];
}

export interface MaintenanceNodeOptions {
  readonly node: string;
  readonly database: DatabaseConfiguration;
  readonly pollSeconds?: number;
  readonly clock?: Clock;
  readonly hsm?: HsmDesk;
  readonly settings?: Partial<DriverConfiguration['maintenance']>;
  /** Instead of the real ones. */
  readonly jobs?: Partial<Jobs>;
}

/** A node's part in maintenance, in this process; not started. */
export function maintenanceNode(t: Pick<Test, 'teardown'>, options: MaintenanceNodeOptions): MaintenanceNode {
  const { node, database, pollSeconds = 0.5, clock, jobs, hsm = noHsm } = options;
  const lines: Record<string, unknown>[] = [];
  const settings = { pollSeconds, keyAuditDays: 7, journalDays: 400, ...options.settings };
  const maintenance = createMaintenance({
    configuration: { node, database, keyStore: 'test', maintenance: settings },
    hsm,
    jobs: { ...createJobs(() => ({ ...noRotation, maintenance: settings })), ...jobs },
    log: createLog('debug', { node }, { write: (line) => void lines.push(JSON.parse(line)) }),
    ...(clock === undefined ? {} : { clock }),
  });
  t.teardown(() => maintenance.stop());
  return { ...maintenance, log: lines };
}

export const noHsm: HsmDesk = createHsmDesk({
  readySlots: () => [],
  askHsm: async () => ({ done: false, why: 'not-ready' }),
});

/** Rotations have tests of their own. */
const noRotation = { keyStore: 'test', node: '', ceremonyFile: '', furtherCeremonyFiles: [] };

/** The role that may do what pg-boss's clock for tests needs. */
export function ownerOf(database: DatabaseConfiguration): DatabaseConfiguration {
  if (database.owner === undefined) throw new Error('the test’s database has an owner');
  return { ...database, ...database.owner };
}

/** A node whose slots are these workers. */
export function workersDesk(workers: Readonly<Record<string, Pick<SlotWorker, 'hsmWork'>>>): HsmDesk {
  return createHsmDesk({
    readySlots: () => Object.keys(workers),
    askHsm: async (slot, work) => (await workers[slot]?.hsmWork(work)) ?? { done: false, why: 'gone' },
  });
}

const limitMs = 100_000;

/** Jobs run when the test asks, and at no full ten minutes that may pass meanwhile. */
export async function installUnscheduled(database: DatabaseConfiguration): Promise<void> {
  const quiet = createLog('silent', {});
  await installMaintenance(database, quiet);
  await forgetSchedules(database);
}

/** @param database that no node works on yet. */
export async function forgetSchedules(database: DatabaseConfiguration): Promise<void> {
  const quiet = createLog('silent', {});
  const pool = createPool(ownerOf(database), { applicationName: 'test', durability: 'durable', max: 1 }, quiet);
  try {
    await pool.query('delete from maintenance.schedule');
  } finally {
    await pool.end();
  }
}

/** One run of a job, a real one where `jobs` has no other, to its end. @returns what it said */
export async function runJob(
  t: Pick<Test, 'teardown'>,
  database: DatabaseConfiguration,
  job: QueueName,
  hsm: HsmDesk = noHsm,
  settings: Partial<DriverConfiguration['maintenance']> = {},
  jobs: Partial<Jobs> = {},
): Promise<JobReport> {
  await installUnscheduled(database);
  const quiet = createLog('silent', {});
  const pool = createPool(database, { applicationName: 'test', durability: 'durable', max: 2 }, quiet);
  const boss = openBossForCommand(pool);
  const node = maintenanceNode(t, { node: 'node-1', database, hsm, settings, jobs });
  try {
    await boss.start();
    node.start();
    const id = await boss.send(job);
    return await until(
      `${job} has ended`,
      async () => {
        const [one] = await boss.findJobs(job, { id: id ?? '' });
        if (one?.state !== 'completed' && one?.state !== 'failed') return undefined;
        return (await readReports(pool)).find(({ queue }) => queue === job);
      },
      limitMs,
    );
  } finally {
    await node.stop();
    await boss.stop({ graceful: false });
    await pool.end();
  }
}
