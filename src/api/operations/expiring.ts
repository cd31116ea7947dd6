import type { X509Certificate } from 'node:crypto';
import type pg from 'pg';
import type { CertificateFacts } from '../../shared/operations/certificate.ts';
import type { Expiring } from '../../shared/operations/expiry-watch.ts';

/** What expires on the API's side: its own certificates, those that drivers presented, and bearer tokens. */
export interface ExpiringThings {
  /** A node has connected with this certificate. */
  driverSeen(node: string, certificate: X509Certificate): void;
  read(): Promise<readonly Expiring[]>;
  /** Ends of the certificates that nodes presented here, by node; a node that renewed is known by its newest one. */
  driverCertificates(): ReadonlyMap<string, string>;
  /** The end that comes first of the bearer tokens in use; null: none ends. ISO 8601. */
  nextToken(): Promise<string | null>;
}

export function createExpiring(pool: pg.Pool, own: () => Readonly<Record<string, CertificateFacts>>): ExpiringThings {
  // As many as there are nodes on the list.
  const presented = new Map<string, string>();
  return {
    driverSeen(node, certificate) {
      presented.set(node, certificate.validToDate.toISOString());
    },
    async read() {
      const files = Object.values(own()).flatMap(({ file, notAfter }) =>
        notAfter === undefined ? [] : [{ what: file, notAfter }],
      );
      const drivers = [...presented].map(([node, notAfter]) => ({ what: `client certificate of ${node}`, notAfter }));
      return [...files, ...drivers, ...(await tokens(pool))];
    },
    driverCertificates() {
      // One that has expired says nothing of the node: it cannot have come with it since.
      return new Map([...presented].filter(([, notAfter]) => Date.parse(notAfter) > Date.now()));
    },
    async nextToken() {
      const { rows } = await pool.query<{ next: Date | null }>(
        `select min(t.expires_at) as next from access_token t join service_account a on a.id = t.service_account
         where t.active and a.active and t.expires_at > now()`,
      );
      return rows[0]?.next?.toISOString() ?? null;
    },
  };
}

/** Those that end within a month, and are in use. */
async function tokens(pool: pg.Pool): Promise<Expiring[]> {
  const { rows } = await pool.query<{ id: string; service_account: string; expires_at: Date }>(
    `select t.id, t.service_account, t.expires_at from access_token t join service_account a on a.id = t.service_account
     where t.active and a.active and t.expires_at between now() and now() + interval '30 days'
     order by t.expires_at limit 200`,
  );
  return rows.map(({ id, service_account, expires_at }) => ({
    what: `access token ${id} of service account ${service_account}`,
    notAfter: expires_at.toISOString(),
  }));
}
