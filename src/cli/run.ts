import { runPrimary } from '../primary/main.ts';
import type { Command } from './command.ts';

/** One driver node, until it is asked to stop. */
export const command: Command = {
  name: 'run',
  summary: 'run one driver node: a primary and a worker for each HSM slot',
  example: 'hsm-driver run --config node-1.yaml',
  options: [],
  async run({ config }) {
    await runPrimary(config);
  },
};
