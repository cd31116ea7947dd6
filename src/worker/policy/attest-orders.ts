import type { KeyObject } from 'node:crypto';
import type { AuditChain, AuditRows } from '../../shared/audit/chain.ts';
import { auditParameters, insertEntriesText } from '../../shared/audit/insert-entries.ts';
import type { Log } from '../../shared/log.ts';
import type { Order, SignedOrder } from '../../shared/orders/order.ts';
import { auditedOrder } from '../../shared/orders/order-audit.ts';
import { inForceHolds } from '../../shared/orders/order-in-force.ts';
import { createQuietLog } from '../../shared/quiet-log.ts';
import type { DriverDatabase, Statement } from '../database.ts';
import type { HsmResult } from '../hsm/jobs.ts';
import type { PolicyState } from './policy-state.ts';

/**
 * Has the HSM say of orders that this worker obeys them since they were good (src/shared/orders/order-in-force.ts), for
 * nodes that see them later. The order had its effect before; this only keeps it.
 */
export interface OrderAttesting {
  stop(): void;
}

export interface OrderAttestingParts {
  readonly keyStore: string;
  readonly attestationKey: KeyObject;
  readonly policy: Pick<PolicyState, 'unattested' | 'attested'>;
  readonly attestOrder: (order: Order) => Promise<HsmResult<string>>;
  readonly database: Pick<DriverDatabase, 'query'>;
  readonly audit: AuditChain;
  /** The HSM is well and the database answers. */
  readonly mayWork: () => boolean;
  readonly log: Log;
}

/** Jittered, so that one worker attests and the others find that it did. */
const everyMs = 1_000;

export function startAttestingOrders(parts: OrderAttestingParts): OrderAttesting {
  const { keyStore, attestationKey, policy, attestOrder, database, audit, mayWork, log } = parts;
  const quiet = createQuietLog(log);
  let timer: NodeJS.Timeout;
  let stopped = false;

  async function attest(signed: SignedOrder): Promise<void> {
    const { order } = signed;
    const rows = await database.query<{ attestation: string }>(selectAttestations, [order.id]);
    if (!rows.some(({ attestation }) => inForceHolds(attestationKey, keyStore, order, attestation))) {
      const made = await attestOrder(order);
      if (!made.ok) return quiet.warn({ code: made.code, cause: made.message }, 'order not attested yet');
      const event = { kind: 'order-in-force', ...auditedOrder(signed) } as const;
      const write = (entries: AuditRows) =>
        database.query(insertAttestation, [...auditParameters(entries), order.id, made.value, audit.id]);
      await audit.record([event], write);
    }
    policy.attested(signed);
  }

  async function attestAll(): Promise<void> {
    for (const signed of policy.unattested) if (mayWork()) await attest(signed);
  }

  function later(): void {
    timer = setTimeout(
      () => {
        void attestAll()
          .catch((error: Error) => log.warn({ cause: error.message }, 'orders not attested; tried again'))
          .finally(() => {
            if (!stopped) later();
          });
      },
      everyMs * (0.5 + Math.random()),
    );
    timer.unref();
  }

  later();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

const selectAttestations: Statement = {
  name: 'worker_order_attestations',
  text: 'select attestation from order_in_force where order_id = $1',
};

const insertAttestation: Statement = {
  name: 'worker_attest_order',
  text: `with told as (${insertEntriesText(1)})
    insert into order_in_force (order_id, attestation, instance) values ($4, $5, $6) on conflict do nothing`,
};
