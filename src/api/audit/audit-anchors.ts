import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { headHolds } from '../../shared/audit/head.ts';
import type { SignedHead } from '../../shared/audit/signed-head.ts';
import type { AuditHeadAnswer } from '../../shared/driver-protocol.ts';
import type { Log } from '../../shared/log.ts';
import type { DriverNode } from '../queue/lease.ts';

/**
 * Keeps the heads of the drivers' audit chains. A driver sends each head until it is answered, one at a time, so a head
 * that is older than a stored one, or another one of the same number, means a chain that was cut or rewritten.
 */
export interface AuditAnchors {
  /** Never rejects: what is wrong with a chain must not stop the work. Undefined: not stored now, send it again. */
  take(node: DriverNode, instance: string, head: SignedHead | undefined): Promise<AuditHeadAnswer>;
}

/** @param pool durable: the driver forgets what it was told is stored. */
export function createAuditAnchors(pool: pg.Pool, pinned: ReadonlyMap<string, KeyObject>, log: Log): AuditAnchors {
  async function store({ name, keyStore }: DriverNode, head: SignedHead): Promise<Verdict> {
    const { rowCount } = await pool.query(
      `insert into audit_anchor (chain, sequence, key_store, node, hash, signature)
       select $1::uuid, $2::bigint, $3, $4, $5, $6
       where not exists (select 1 from audit_anchor where chain = $1::uuid and sequence >= $2::bigint)
       on conflict do nothing`,
      [head.chain, head.sequence, keyStore, name, head.hash, head.signature],
    );
    if (rowCount === 1) return 'stored';
    const { rows } = await pool.query<{ hash: string }>(
      'select hash from audit_anchor where chain = $1 and sequence = $2',
      [head.chain, head.sequence],
    );
    if (rows[0] === undefined) return 'older than what is stored';
    return rows[0].hash === head.hash ? 'stored' : 'another than the one that is stored';
  }

  async function judge(node: DriverNode, instance: string, head: SignedHead): Promise<Verdict> {
    if (head.chain !== instance) return 'of another instance';
    const key = pinned.get(node.keyStore);
    if (key === undefined || !headHolds(key, node.keyStore, head)) return 'not signed by the attestation key';
    return await store(node, head);
  }

  return {
    async take(node, instance, head) {
      if (head === undefined) return undefined;
      const { chain, sequence } = head;
      const fields = { node: node.name, chain, sequence };
      try {
        const why = await judge(node, instance, head);
        if (why === 'stored') return why;
        log.error({ ...fields, code: 'AUDIT_HEAD_REFUSED', why }, 'head of a driver’s audit chain refused');
        return 'refused';
      } catch (error) {
        log.warn({ ...fields, cause: (error as Error).message }, 'head of a driver’s audit chain not stored');
        return undefined;
      }
    },
  };
}

type Verdict =
  | 'stored'
  | 'older than what is stored'
  | 'another than the one that is stored'
  | 'of another instance'
  | 'not signed by the attestation key';
