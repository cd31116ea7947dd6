import type pg from 'pg';
import type { PgBoss } from 'pg-boss';
import type { QueueName } from '../../shared/maintenance/queues.ts';
import { readReports } from '../../shared/maintenance/reports.ts';
import type { Command } from '../command.ts';
import { jobEnd } from './job-end.ts';
import { queueNamed, withMaintenanceQueue } from './maintenance-queue.ts';

export const command: Command = {
  name: 'jobs run',
  summary: 'ask for one run of a maintenance job now; a node that is able takes it within seconds',
  example: 'hsm-driver jobs run --job node-reaping --wait --config node-1.yaml',
  options: [
    { name: 'job', summary: 'its name, as in jobs list', required: true, kind: 'text' },
    { name: 'wait', summary: 'wait for its end and print what it said', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const queue = queueNamed(text.get('job'));
    await withMaintenanceQueue(config, async (boss, pool) => {
      const id = await boss.send(queue, null);
      if (id === null) process.stdout.write(`${queue} waits or runs already.\n`);
      else process.stdout.write(`${queue} is asked for (${id}).\n`);
      if (switches.has('wait')) await waitFor(boss, pool, queue, id ?? (await openJob(boss, queue)));
    });
  },
};

/** The one that waits or runs: there is at most one. */
async function openJob(boss: PgBoss, queue: QueueName): Promise<string | undefined> {
  const jobs = await boss.findJobs(queue);
  return jobs.find(({ state }) => state === 'created' || state === 'retry' || state === 'active')?.id;
}

/** @throws JOB_FAILED */
async function waitFor(boss: PgBoss, pool: pg.Pool, queue: QueueName, id: string | undefined): Promise<void> {
  if (id !== undefined) await jobEnd(boss, pool, queue, id);
  const report = (await readReports(pool)).find((one) => one.queue === queue);
  process.stdout.write(`${JSON.stringify({ ...report?.facts, alarms: report?.alarms ?? [] })}\n`);
}
