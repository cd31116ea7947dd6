import type { X509Certificate } from 'node:crypto';
import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import type { DriverNode } from '../queue/lease.ts';
import { createOrderedNodes } from './ordered-nodes.ts';

/** A node of the table: known by the SHA-256 of its certificate, by a DNS name in it, or by its common name. */
interface ListedNode extends DriverNode {
  readonly certificateSha256: string | null;
  readonly san: string | null;
}

/** What a client certificate says about its node; its chain is checked already. */
export interface PresentedCertificate {
  readonly x509: X509Certificate;
  readonly commonName: string | undefined;
}

/**
 * The nodes that may ask for work: those of the configuration, and those that `hsm-driver api driver add` put into the
 * database, without those that were revoked. Every API process reads the table each second.
 */
export interface DriverList {
  /** @throws DRIVER_NOT_LISTED, DRIVER_REVOKED */
  nodeOf(certificate: PresentedCertificate): DriverNode;
  /** After each reading of the table: connections of nodes that are no longer listed must end. */
  onChange(listener: () => void): void;
  stop(): void;
}

const everyMs = 1_000;

export interface DriverListParts {
  readonly pool: pg.Pool;
  /** Of the configuration, by common name. */
  readonly configured: readonly DriverNode[];
  /** Where they are configured, a node of the table needs their order. */
  readonly operators?: Operators | undefined;
  readonly log: Log;
}

export async function startDriverList({ pool, configured, operators, log }: DriverListParts): Promise<DriverList> {
  const orders = createOrderedNodes(operators, log);
  let listed: readonly ListedNode[] = [];
  let revoked: ReadonlySet<string> = new Set();
  const listeners: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const refresh = async (): Promise<void> => {
    const { rows } = await pool.query<{
      name: string;
      key_store: string;
      certificate_sha256: string | null;
      san: string | null;
      revoked: boolean;
      signed_order: unknown;
    }>(
      'select name, key_store, certificate_sha256, san, revoked_at is not null as revoked, signed_order from driver_node',
    );
    const active = rows.filter((row) => !row.revoked && orders.isOrdered(identityOf(row), row.signed_order));
    // A row that nobody ordered stands in no configured node's way.
    const inTable = new Set([...active, ...rows.filter((row) => row.revoked)].map((row) => row.name));
    listed = [
      ...active.map(identityOf),
      ...configured
        .filter(({ name }) => !inTable.has(name))
        .map((node) => ({ ...node, certificateSha256: null, san: null })),
    ];
    revoked = new Set(rows.filter((row) => row.revoked).map((row) => row.name));
    for (const listener of listeners) listener();
    // Whatever came in before its connection was closed: an ended instance gets no work, and its leases end.
    if (revoked.size > 0)
      await pool.query('update driver_instance set ended_at = now() where node = any($1) and ended_at is null', [
        [...revoked],
      ]);
  };
  const schedule = (): void => {
    if (stopped) return;
    timer = setTimeout(() => void refresh().catch(failed).finally(schedule), everyMs);
  };
  // Without the database the list stays as it was; the queue says that it is gone.
  const failed = (error: unknown): void => {
    if (!isUnreachable(error)) log.error({ error: String(error) }, 'driver list not read');
  };

  const list: DriverList = {
    nodeOf(certificate) {
      const node = listed.find((one) => isCertificateOf(one, certificate));
      if (node !== undefined) return { name: node.name, keyStore: node.keyStore };
      const { commonName = '' } = certificate;
      if (revoked.has(commonName)) throw new CodedError('DRIVER_REVOKED', commonName);
      throw new CodedError('DRIVER_NOT_LISTED', `common name ${JSON.stringify(commonName)}`);
    },
    onChange: (listener) => void listeners.push(listener),
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
  await refresh();
  schedule();
  return list;
}

function identityOf(row: {
  name: string;
  key_store: string;
  certificate_sha256: string | null;
  san: string | null;
}): ListedNode {
  return { name: row.name, keyStore: row.key_store, certificateSha256: row.certificate_sha256, san: row.san };
}

function isCertificateOf(node: ListedNode, { x509, commonName }: PresentedCertificate): boolean {
  if (node.certificateSha256 !== null)
    return x509.fingerprint256.replaceAll(':', '').toLowerCase() === node.certificateSha256;
  if (node.san !== null) return x509.checkHost(node.san, { subject: 'never', wildcards: false }) !== undefined;
  return commonName === node.name;
}
