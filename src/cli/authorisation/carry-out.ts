import type pg from 'pg';
import type { AuditEvent } from '../../shared/audit/event.ts';
import { openAuditLog } from '../../shared/audit/open-log.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import type { OrderAbout, SignedOrder } from '../../shared/orders/order.ts';
import { auditedOrder } from '../../shared/orders/order-audit.ts';
import { type OrderedBy, requireOrder } from '../../shared/orders/require-order.ts';
import { recordOrder } from '../../shared/orders/used-orders.ts';

export interface Errand {
  readonly configuration: OrderedBy & { readonly node: string };
  /** Its name, for the audit log. */
  readonly command: string;
  /** Undefined for what needs no order. */
  readonly about?: OrderAbout;
  readonly orderFile?: string | undefined;
  /** What the audit log tells of it. */
  readonly events: readonly AuditEvent[];
}

/**
 * Changes the driver database by the operators’ order: the order’s use, the change and the audit entries are one
 * transaction. All of it is there, or the order is still good.
 * @throws ORDER_*, and what `change` throws
 */
export async function carryOut<Result>(
  pool: pg.Pool,
  { configuration, command, about, orderFile, events }: Errand,
  change: (client: pg.PoolClient, order: SignedOrder | undefined) => Promise<Result>,
): Promise<Result> {
  const { keyStore, node } = configuration;
  const order = about && requireOrder(configuration, about, orderFile);
  return await inTransaction(pool, async (client) => {
    if (order !== undefined) await recordOrder(client, order, { node });
    const result = await change(client, order);
    const audit = openAuditLog(client, { program: 'command', command, keyStore, node });
    await audit.append(
      ...(order === undefined ? [] : [{ kind: 'order-carried-out' as const, ...auditedOrder(order) }]),
      ...events,
    );
    return result;
  });
}
