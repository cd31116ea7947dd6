import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Clock, JobWithMetadata, PgBoss } from 'pg-boss';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import { createPool } from '../../shared/database/pool.ts';
import type { Log } from '../../shared/log.ts';
import { openBoss } from '../../shared/maintenance/boss.ts';
import { maintenanceQueue, type QueueName, queueNames } from '../../shared/maintenance/queues.ts';
import { queuesAtWorkOn } from '../../shared/maintenance/reports.ts';
import type { HsmDesk } from './hsm-desk.ts';
import type { Jobs } from './job.ts';
import { createJobAudit } from './job-audit.ts';
import { createReportsView, type MaintenanceView } from './reports-view.ts';
import { runJob } from './run-job.ts';
import { createTestKeyWatch } from './test-key-watch.ts';

/**
 * This node's part in maintenance: one pg-boss over a pool of two connections. It takes jobs of every queue, those that
 * need an HSM only while one of its slots is ready. Signing depends on none of it.
 */
export interface Maintenance {
  /** Returns at once: a database that does not answer is waited for. */
  start(): void;
  view(): MaintenanceView;
  /** A slot became ready, or is so no more. */
  slotsChanged(): void;
  /** What runs here is interrupted and taken up by another node; within about two seconds. */
  stop(): Promise<void>;
}

export interface MaintenanceOptions {
  readonly configuration: Pick<DriverConfiguration, 'database' | 'keyStore' | 'maintenance' | 'node' | 'rotation'>;
  readonly hsm: HsmDesk;
  readonly jobs: Jobs;
  readonly log: Log;
  /** A test's own. */
  readonly clock?: Clock;
}

/** pg-boss takes no less. */
const stopMs = 1_000;
/** A statement without an answer for this long was sent into nothing: the server ends each after thirty seconds. */
const queryTimeoutMs = 35_000;
const beginAgainMs = 2_000;
const toldAgainMs = 60_000;

export function createMaintenance({ configuration, hsm, jobs, log, clock }: MaintenanceOptions): Maintenance {
  const { node, database } = configuration;
  const { pollSeconds } = configuration.maintenance;
  const slotKind = configuration.rotation === undefined ? 'signing slot' : 'rotation slot';
  const name = {
    applicationName: `hsm-driver maintenance ${node}`,
    durability: 'durable',
    max: 2,
    queryTimeoutMs,
  } as const;
  const pool: pg.Pool = createPool(database, name, log);
  // pg-boss takes whole seconds here.
  const seconds = Math.max(1, Math.round(pollSeconds));
  const pace = { scheduleSeconds: Math.min(45, seconds), superviseSeconds: seconds };
  const boss = openBoss(pool, { ...pace, ...(clock === undefined ? {} : { clock }) });
  tellProblems(boss, log);
  const audit = createJobAudit(pool, { program: 'primary', keyStore: configuration.keyStore, node });
  const stopping = new AbortController();
  const view = createReportsView({ pool, boss, everyMs: pollSeconds * 1_000 });
  const testKeys = createTestKeyWatch({ pool, node, hsm, everyMs: 2_000 * pollSeconds, log });
  const working = new Set<QueueName>();
  let running = false;
  let settling: Promise<void> = Promise.resolve();

  async function work(queue: QueueName): Promise<void> {
    const options = { pollingIntervalSeconds: pollSeconds, batchSize: 1, includeMetadata: true } as const;
    await boss.work<object, unknown, typeof options>(queue, options, async ([job]) => {
      if (job === undefined) return undefined;
      return await attempt(queue, job);
    });
  }

  async function attempt(queue: QueueName, job: JobWithMetadata): Promise<unknown> {
    const signal = AbortSignal.any([job.signal, stopping.signal]);
    const { id, retryCount, data } = job;
    try {
      return await runJob(jobs[queue], { queue, id, retryCount }, signal, { pool, node, data, hsm, audit, log });
    } finally {
      view.look();
    }
  }

  /** Takes part in the queues that this node can work on now, and in no other. */
  async function settle(): Promise<void> {
    if (!running || stopping.signal.aborted) return;
    const slots = hsm.readySlots().length === 0 ? undefined : slotKind;
    for (const queue of queueNames) {
      const { needs } = maintenanceQueue(queue);
      const wanted = needs === 'nothing' || needs === slots;
      if (wanted === working.has(queue)) continue;
      if (wanted) {
        working.add(queue);
        await work(queue);
      } else {
        working.delete(queue);
        await boss.offWork(queue, { wait: false });
      }
    }
  }

  function slotsChanged(): void {
    settling = settling.then(settle).catch((error) => log.warn({ cause: (error as Error).message }, 'maintenance'));
  }

  /** What an earlier process of this node had at work: it is tried again now, and not once it was missed. */
  async function giveUpOwn(): Promise<void> {
    for (const queue of await queuesAtWorkOn(pool, node)) {
      const left = (await boss.findJobs(queue)).find(({ state }) => state === 'active');
      if (left === undefined) continue;
      const { id, retryCount } = left;
      await boss.fail(queue, { id, retryCount }, { message: 'its node was started again' });
    }
  }

  /** Repeats what the database, which was there a moment ago, did not answer. @throws AbortError once the node stops */
  async function persistently(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        log.warn({ cause: (error as Error).message }, 'maintenance does not begin yet');
        await sleep(beginAgainMs, undefined, { signal: stopping.signal });
      }
    }
  }

  async function begin(): Promise<void> {
    try {
      // A database that is away, or not migrated yet, is waited for.
      await boss.start({ attempts: Number.MAX_SAFE_INTEGER });
      await persistently(giveUpOwn);
      running = true;
      view.start();
      if (slotKind === 'signing slot') testKeys.start();
      slotsChanged();
      log.debug('maintenance started');
    } catch (error) {
      if (!stopping.signal.aborted) log.error({ cause: (error as Error).message }, 'maintenance could not start');
    }
  }

  return {
    start: () => void begin(),
    view: () => view.now(),
    slotsChanged,
    async stop() {
      stopping.abort(new Error('the node stops'));
      view.stop();
      testKeys.stop();
      const stopped = settling.then(() => boss.stop({ timeout: stopMs })).then(() => pool.end());
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, 2 * stopMs);
      await Promise.race([stopped.catch(() => {}), late]);
      clearTimeout(timer);
    },
  };
}

/** The same trouble is told once a minute: each queue meets a lost database at each poll. */
function tellProblems(boss: PgBoss, log: Log): void {
  let toldAt = Number.NEGATIVE_INFINITY;
  const tell = (cause: string): void => {
    const again = performance.now() - toldAt < toldAgainMs;
    if (!again) toldAt = performance.now();
    log[again ? 'debug' : 'warn']({ cause }, 'maintenance queue');
  };
  boss.on('error', (error) => tell(error.message));
  boss.on('warning', (warning) => tell(warning.message));
}
