import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { queueNamed, withMaintenanceQueue } from './maintenance-queue.ts';

export const command: Command = {
  name: 'jobs retry',
  summary: 'try the last failed run of a maintenance job again',
  example: 'hsm-driver jobs retry --job node-reaping --config node-1.yaml',
  options: [{ name: 'job', summary: 'its name, as in jobs list', required: true, kind: 'text' }],
  async run({ config, text }) {
    const queue = queueNamed(text.get('job'));
    await withMaintenanceQueue(config, async (boss) => {
      const failed = (await boss.findJobs(queue)).filter(({ state }) => state === 'failed');
      // Oldest first.
      const last = failed.at(-1);
      if (last === undefined) throw new CodedError('NOT_FOUND', `a failed run of ${queue}`);
      await boss.retry(queue, last.id);
      process.stdout.write(`${queue} is tried again (${last.id}).\n`);
    });
  },
};
