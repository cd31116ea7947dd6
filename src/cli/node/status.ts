import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '../../primary/operations/status.ts';
import { driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { askNodeStatus } from './node-status.ts';
import { statusText } from './status-text.ts';

const againMs = 1_000;

/** What a running node says of itself. */
export const command: Command = {
  name: 'status',
  summary: 'show a running node: its slots, its cluster, what is wrong; exit code 0 when a slot is ready',
  example: 'hsm-driver status --config node-1.yaml --watch',
  options: [
    { name: 'json', summary: 'print everything that the node knows, as JSON', required: false, kind: 'switch' },
    { name: 'watch', summary: 'show it again every second, until Ctrl-C', required: false, kind: 'switch' },
  ],
  async run({ config, switches }) {
    const { operations } = loadConfiguration(config, driverConfiguration);
    if (operations === undefined) throw new CodedError('OPERATIONS_NOT_CONFIGURED', config);
    const show = (status: NodeStatus): void => {
      process.stdout.write(switches.has('json') ? `${JSON.stringify(status)}\n` : statusText(status));
    };
    for (;;) {
      const status = await askNodeStatus(operations).catch((error: CodedError) => error);
      if (!switches.has('watch')) {
        if (status instanceof CodedError) throw status;
        show(status);
        if (status.slots.some((slot) => slot.state === 'ready')) return;
        throw new CodedError('NO_SLOT_READY', status.node);
      }
      // A node that is down for a moment is what one watches for.
      if (status instanceof CodedError) process.stdout.write(`${status.message}\n`);
      else show(status);
      await sleep(againMs);
    }
  },
};
