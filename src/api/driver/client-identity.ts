import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { CodedError } from '../../shared/errors.ts';
import type { DriverNode } from '../queue/lease.ts';
import type { DriverList, PresentedCertificate } from './driver-list.ts';

/**
 * Who calls, by the TLS client certificate: its chain must end at the driver CA, and it must be on the list of nodes.
 * The listener accepts connections without a certificate only to tell the caller what is wrong; nothing of such a
 * request but its header is read.
 *
 * Looked up once per connection: a certificate cannot change while a connection lives. When the list changes, the
 * connections of those who are gone from it are closed.
 */
export function createIdentify(list: DriverList, onIdentified: (node: string, certificate: X509Certificate) => void) {
  const known = new Map<TLSSocket, { readonly node: DriverNode; readonly certificate: PresentedCertificate }>();

  list.onChange(() => {
    for (const [socket, { certificate }] of known) if (!isListed(list, certificate)) socket.destroy();
  });

  /** @throws CLIENT_CERTIFICATE_MISSING, DRIVER_NOT_LISTED, DRIVER_REVOKED */
  return function identify(socket: TLSSocket): DriverNode {
    const before = known.get(socket);
    if (before !== undefined) return before.node;
    if (!socket.authorized) {
      const why = String(socket.authorizationError ?? 'none was sent');
      throw new CodedError('CLIENT_CERTIFICATE_MISSING', why === 'UNABLE_TO_GET_ISSUER_CERT' ? 'none was sent' : why);
    }
    const certificate = presented(socket);
    const node = list.nodeOf(certificate);
    known.set(socket, { node, certificate });
    onIdentified(node.name, certificate.x509);
    socket.once('close', () => known.delete(socket));
    return node;
  };
}

function presented(socket: TLSSocket): PresentedCertificate {
  const x509 = socket.getPeerX509Certificate();
  if (x509 === undefined) throw new CodedError('CLIENT_CERTIFICATE_MISSING', 'none was sent');
  const commonName: unknown = socket.getPeerCertificate().subject?.CN;
  return { x509, commonName: typeof commonName === 'string' ? commonName : undefined };
}

function isListed(list: DriverList, certificate: PresentedCertificate): boolean {
  try {
    list.nodeOf(certificate);
    return true;
  } catch {
    return false;
  }
}
