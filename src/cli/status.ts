import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '../primary/operations/status.ts';
import { driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { CodedError } from '../shared/errors.ts';
import type { Command } from './command.ts';
import { statusText } from './status-text.ts';

const patienceMs = 5_000;
const againMs = 1_000;

/** What a running node says of itself. */
export const command: Command = {
  name: 'status',
  summary: 'show a running node: its slots, its cluster, what is wrong; exit code 0 when a slot is ready',
  options: [
    { name: 'json', summary: 'print everything that the node knows, as JSON', required: false, kind: 'switch' },
    { name: 'watch', summary: 'show it again every second, until Ctrl-C', required: false, kind: 'switch' },
  ],
  async run({ config, switches }) {
    const { operations } = loadConfiguration(config, driverConfiguration);
    if (operations === undefined) throw new CodedError('OPERATIONS_NOT_CONFIGURED', config);
    const page = new URL(`http://${hostOf(operations.host)}:${operations.port}/status`);
    const show = (status: NodeStatus): void => {
      process.stdout.write(switches.has('json') ? `${JSON.stringify(status)}\n` : statusText(status));
    };
    for (;;) {
      const status = await ask(page).catch((error: CodedError) => error);
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

/** Where a server that listens everywhere is reached. */
function hostOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

async function ask(page: URL): Promise<NodeStatus> {
  try {
    const answer = await fetch(page, { signal: AbortSignal.timeout(patienceMs) });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    return (await answer.json()) as NodeStatus;
  } catch (error) {
    const { cause, message } = error as Error;
    const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
    throw new CodedError('NODE_NOT_ANSWERING', `${page.origin} (${why})`, { cause: error });
  }
}
