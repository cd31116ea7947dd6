import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux gives to connections on their way out (ip_local_port_range, 32768 and up): one of those could
 * be taken between here and the start of the process that is to listen, or while a server restarts.
 */
const anyPort = { lowest: 15_000, above: 32_000 };
const tries = 100;

/**
 * The wanted port of 127.0.0.1 where it is free, else any other. On Linux nobody else who asks here is given the same one
 * while this process lives: what is to listen on it may start seconds later, beside tests that ask as well.
 */
export async function freePort(wanted = 0, { lowest, above } = anyPort) {
  if (wanted !== 0 && (await isFree(wanted))) {
    await reserve(wanted);
    return wanted;
  }
  for (let at = 0; at < tries; at += 1) {
    const port = randomInt(lowest, above);
    // In this order: asking whether it is free takes the port for a moment, from its owner if there is one.
    if ((await reserve(port)) && (await isFree(port))) return port;
  }
  throw new Error('no free port on 127.0.0.1');
}

async function isFree(port) {
  const server = createServer();
  const free = await listens(server, { port, host: '127.0.0.1' });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

/** Held by an abstract Unix socket of that name, which goes with this process however it ends. */
async function reserve(port) {
  if (process.platform !== 'linux') return true;
  const server = createServer();
  server.unref();
  return await listens(server, { path: `\0hsm-signing-port-${port}` });
}

function listens(server, options) {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(options, () => resolve(true));
  });
}
