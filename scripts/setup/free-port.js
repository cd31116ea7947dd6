import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux gives to connections on their way out (ip_local_port_range, 32768 and up): one of those could
 * be taken between here and the start of the process that is to listen, or while a server restarts.
 */
const [lowest, above] = [15_000, 32_000];
const tries = 100;

/** The wanted port of 127.0.0.1 where it is free, else any other. */
export async function freePort(wanted = 0) {
  if (wanted !== 0 && (await isFree(wanted))) return wanted;
  for (let at = 0; at < tries; at += 1) {
    const port = randomInt(lowest, above);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port on 127.0.0.1');
}

async function isFree(port) {
  const server = createServer();
  const free = await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
