import { type JobStatus, jobStatuses } from '../../shared/maintenance/job-statuses.ts';
import { readReports } from '../../shared/maintenance/reports.ts';
import type { Command } from '../command.ts';
import { table } from '../table.ts';
import { withMaintenanceQueue } from './maintenance-queue.ts';

export const command: Command = {
  name: 'jobs list',
  summary: 'list the maintenance jobs: how each ended last, what it said, when it is due next',
  example: 'hsm-driver jobs list --config node-1.yaml',
  options: [{ name: 'json', summary: 'print JSON', required: false, kind: 'switch' }],
  async run({ config, switches }) {
    await withMaintenanceQueue(config, async (boss, pool) => {
      const jobs = jobStatuses(boss, await readReports(pool));
      process.stdout.write(switches.has('json') ? `${JSON.stringify(jobs)}\n` : shown(jobs));
    });
  },
};

const heads = ['job', 'state', 'last done', 'next due', 'node', 'said'];

function shown(jobs: readonly JobStatus[]): string {
  const rows = jobs.map((one) => [
    one.job,
    one.state ?? 'never ran',
    one.lastDoneAt ?? '-',
    one.nextDueAt ?? 'when asked for',
    one.node ?? '-',
    one.problem ?? factsOf(one),
  ]);
  const alarms = jobs.flatMap(({ job, alarms = [] }) => alarms.map((alarm) => `! ${job}: ${alarm}\n`));
  return `${table([heads, ...rows])}${alarms.join('')}`;
}

function factsOf({ facts = {} }: JobStatus): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
