import { runPrimary } from '../primary/main.ts';
import type { Command } from './command.ts';

/** Connections are closed by then, or will not be: one whose other end is gone without a word stays open for many minutes. */
const lingerMs = 500;

/** One driver node, until it is asked to stop. */
export const command: Command = {
  name: 'run',
  summary: 'run one driver node: a primary and a worker for each HSM slot',
  example: 'hsm-driver run --config node-1.yaml',
  options: [],
  async run({ config }) {
    try {
      await runPrimary(config);
    } finally {
      // With the exit code that is set by then; only if something still keeps this process.
      setTimeout(() => process.exit(), lingerMs).unref();
    }
  },
};
