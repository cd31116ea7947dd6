import { createServer } from 'node:net';

/** The wanted port where it is free, else any other. */
export async function freePort(wanted = 0): Promise<number> {
  for (const port of [wanted, 0]) {
    const server = createServer();
    const got = await new Promise<number | undefined>((resolve) => {
      server.once('error', () => resolve(undefined));
      server.listen(port, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    if (got === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return got;
  }
  throw new Error('no free port on 127.0.0.1');
}
