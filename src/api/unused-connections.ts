import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/**
 * Makes a server that stops close every connection as soon as no request is being answered on it. By itself it closes
 * those that are between two requests at that moment, and no others: one that a client opened in advance, whose TLS
 * handshake is not over, or whose last answer is just being written, would keep the process for more than a minute.
 */
export function closeUnusedConnections(server: FastifyInstance): void {
  const connections = new Map<string, { readonly socket: Socket; answering: number }>();
  let stopping = false;

  server.server.on('connection', (socket: Socket) => {
    if (stopping) return socket.destroy();
    const key = keyOf(socket);
    const connection = { socket, answering: 0 };
    connections.set(key, connection);
    return socket.once('close', () => {
      if (connections.get(key) === connection) connections.delete(key);
    });
  });
  server.server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(keyOf(socket));
    if (connection === undefined) return;
    connection.answering += 1;
    response.once('close', () => {
      connection.answering -= 1;
      if (stopping && connection.answering === 0) socket.destroySoon();
    });
  });
  server.addHook('onSend', async (request, reply) => {
    // With more requests behind it in the connection, the last answer says so.
    const last = connections.get(keyOf(request.raw.socket))?.answering === 1;
    if (stopping && last) reply.header('connection', 'close');
  });
  server.addHook('preClose', async () => {
    stopping = true;
    for (const { socket, answering } of connections.values()) if (answering === 0) socket.destroy();
  });
}

/** The TLS socket of a request and the TCP socket below it are two objects with the same address. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
