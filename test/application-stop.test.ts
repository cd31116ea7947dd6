import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import t from 'tap';
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
