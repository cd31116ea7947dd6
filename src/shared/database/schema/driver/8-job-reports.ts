import type { Migration } from '../../migrate.ts';

export const jobReports: Migration = {
  version: 8,
  name: 'reports of maintenance jobs',
  needs: 3,
  sql: (runtime) => `
    -- What each maintenance job said last. pg-boss forgets its jobs after two weeks; this row stays.
    create table job_report (
      queue text primary key,
      state text not null check (state in ('running', 'done', 'failed')),
      node text not null,
      started_at timestamptz not null,
      ended_at timestamptz,
      last_done_at timestamptz,
      facts jsonb not null default '{}',
      alarms jsonb not null default '[]',
      problem text
    );
    grant select, insert, update on job_report to ${runtime};
  `,
};
