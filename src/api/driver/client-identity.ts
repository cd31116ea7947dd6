import type { TLSSocket } from 'node:tls';
import { CodedError } from '../../shared/errors.ts';
import type { DriverNode } from '../queue/lease.ts';

/**
 * Who calls, by the TLS client certificate: its chain must end at the driver CA, and its common name must be on the
 * list of nodes. The listener accepts connections without a certificate only to tell the caller what is wrong; nothing
 * of such a request but its header is read.
 *
 * Looked up once per connection: a certificate cannot change while a connection lives.
 */
export function createIdentify(nodes: readonly DriverNode[]) {
  const listed = new Map(nodes.map((node) => [node.name, node]));
  const known = new WeakMap<TLSSocket, DriverNode>();

  return function identify(socket: TLSSocket): DriverNode {
    const before = known.get(socket);
    if (before !== undefined) return before;
    if (!socket.authorized) {
      const why = String(socket.authorizationError ?? 'none was sent');
      throw new CodedError('CLIENT_CERTIFICATE_MISSING', why === 'UNABLE_TO_GET_ISSUER_CERT' ? 'none was sent' : why);
    }
    const name = socket.getPeerCertificate().subject?.CN;
    const node = typeof name === 'string' ? listed.get(name) : undefined;
    if (node === undefined) throw new CodedError('DRIVER_NOT_LISTED', `common name ${JSON.stringify(name ?? '')}`);
    known.set(socket, node);
    return node;
  };
}
