import { once } from 'node:events';
import { startGuard } from '../guard/guard.ts';
import { openUpstream } from '../guard/upstream.ts';
import { CodedError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import type { Command } from './command.ts';

const standardPort = 8445;

/** `hsm-driver guard`: beside an application, until SIGTERM or SIGINT. See docs/guard.md. */
export const command: Command = {
  name: 'guard',
  summary: 'run the proxy that keeps an application’s credential from signing what the application did not ask for',
  example: 'hsm-driver guard --api https://signing.example:8443 --ca-file ca.pem --port 8445',
  config: 'not needed',
  options: [
    { name: 'api', summary: 'https:// address of the signing API for applications', required: true, kind: 'text' },
    { name: 'ca-file', summary: 'CA of the API’s certificate; default: the system’s', required: false, kind: 'text' },
    { name: 'port', summary: `port on 127.0.0.1; default ${standardPort}`, required: false, kind: 'text' },
  ],
  async run({ text }) {
    const port = Number(text.get('port') ?? standardPort);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new CodedError('OPTION_INVALID', '--port');
    const log = createLog('info', { process: 'guard' });
    const upstream = openUpstream(text.get('api') ?? '', text.get('ca-file'));
    const guard = await startGuard({ upstream, port, log });
    log.info({ baseAuthUrl: guard.url }, 'guard started');
    await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
    await guard.stop();
  },
};
