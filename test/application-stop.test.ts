import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import fastify from 'fastify';
import t from 'tap';
import { closeUnusedConnections } from '../src/api/unused-connections.ts';
import { openApplication, userAction } from './support/application.ts';

t.test(
  'while the server stops, what is held is finished, and what still arrives goes to another process',
  async (t) => {
    const application = await openApplication(t);
    const { account, queue, server } = application;
    await server.listen({ host: '127.0.0.1', port: 0 });
    const payload = '{"scheme":"ECDSA","curve":"secp256k1"}';
    const token = await userAction(application, account, 'POST', '/keys', payload);
    const held = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    queue.outcome = async ({ id, type }) => {
      held.resolve();
      await goOn.promise;
      await application.addKey(account.orgId, id, type, `02${'11'.repeat(32)}`);
      return { state: 'made' };
    };

    const { port } = server.server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(application.caFile) });
    let received = '';
    const ended = new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        received += chunk;
      });
      socket.on('close', () => resolve());
    });
    const head = (line: string) =>
      `${line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${account.authToken}\r\n`;
    socket.write(
      `${head('POST /keys')}x-dfns-useraction: ${token}\r\ncontent-type: application/json\r\ncontent-length: ${payload.length}\r\n\r\n${payload}`,
    );
    await held.promise;
    const closed = server.close();
    const arrived = new Promise((resolve) => server.server.once('request', resolve));
    socket.write(`${head('GET /keys/key-1/signatures/sig-1')}\r\n`);
    await arrived;
    goOn.resolve();
    await closed;
    await ended;
    t.match(received, /^HTTP\/1\.1 200 OK\r\n/);
    t.match(received, /"status":"Active"/);
    t.match(received, /HTTP\/1\.1 503 Service Unavailable\r\n/);
    t.match(received, /retry-after: 1\r\n/);
    t.match(received, /"code":"API_STOPPING"/);
  },
);

t.test('a connection ends with the answer that was under way when the stop began', async (t) => {
  const server = fastify({ keepAliveTimeout: 75_000, forceCloseConnections: 'idle' });
  closeUnusedConnections(server);
  const stopping = Promise.withResolvers<void>();
  server.addHook('preClose', async () => stopping.resolve());
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  server.get('/', async () => {
    asked.resolve();
    await goOn.promise;
    return 'done';
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const socket = connectTcp({ host: '127.0.0.1', port: (server.server.address() as AddressInfo).port });
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await asked.promise;
  const closed = server.close();
  await stopping.promise;
  goOn.resolve();
  await Promise.all([closed, once(socket, 'close')]);
  t.match(received, /^HTTP\/1\.1 200 OK\r\n/);
  t.match(received, /\r\nconnection: close\r\n/);
});

t.test('connections that were opened in advance, or whose handshake is not over, do not hold up a stop', async (t) => {
  const { server, caFile } = await openApplication(t);
  await server.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const unused = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(caFile) });
  const unfinished = connectTcp({ host: '127.0.0.1', port });
  for (const socket of [unused, unfinished]) socket.on('error', () => {});
  await Promise.all([once(unused, 'secureConnect'), once(unfinished, 'connect')]);
  // A minute later the server would close them by itself: the test’s own limit is shorter.
  await Promise.all([server.close(), once(unused, 'close'), once(unfinished, 'close')]);
  t.pass();
});
