import type pg from 'pg';
import type { PgBoss } from 'pg-boss';
import { type JobStatus, jobStatuses } from '../../shared/maintenance/job-statuses.ts';
import { type JobReport, readReports } from '../../shared/maintenance/reports.ts';

/** What is known of each job, for /status and metrics: a copy that is read again now and then. */
export interface MaintenanceView {
  /** False: the reports could not be read lately; what follows is old. */
  readonly reachable: boolean;
  readonly jobs: readonly JobStatus[];
}

export interface ReportsView {
  now(): MaintenanceView;
  /** Something has changed. */
  look(): void;
  start(): void;
  stop(): void;
}

export interface ReportsViewOptions {
  readonly pool: pg.Pool;
  readonly boss: PgBoss;
  readonly everyMs: number;
}

export function createReportsView({ pool, boss, everyMs }: ReportsViewOptions): ReportsView {
  let reports: readonly JobReport[] = [];
  let reachable = false;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function read(): Promise<void> {
    clearTimeout(timer);
    try {
      reports = await readReports(pool);
      reachable = true;
    } catch {
      reachable = false;
    }
    if (!stopped) timer = setTimeout(look, everyMs).unref();
  }

  function look(): void {
    if (!stopped) void read();
  }

  return {
    now: () => ({ reachable, jobs: jobStatuses(boss, reports) }),
    look,
    start: look,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
