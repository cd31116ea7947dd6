import { runApi } from '../api/main.ts';
import type { Command } from './command.ts';

/** Restarts and orchestrators send SIGTERM; a second signal means: now. */
export const command: Command = {
  name: 'api',
  summary: 'run one process of the signing API',
  example: 'hsm-driver api --config api.yaml',
  options: [],
  async run({ config }) {
    const stop = new AbortController();
    const ask = (): void => {
      // The same number that a shell shows for a process ended by SIGTERM.
      if (stop.signal.aborted) process.exit(143);
      stop.abort();
    };
    process.on('SIGTERM', ask);
    process.on('SIGINT', ask);
    try {
      await runApi(config, stop.signal);
    } finally {
      process.off('SIGTERM', ask);
      process.off('SIGINT', ask);
    }
  },
};
