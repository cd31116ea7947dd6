import { createHash } from 'node:crypto';
import type { OrderCarriedOut } from '../audit/event.ts';
import { orderText, type SignedOrder } from './order.ts';
import { orderBytes } from './order-bytes.ts';

/** What the audit log says of an order: who signed what. Its signatures were verified. */
export function auditedOrder({ order, signatures }: SignedOrder): Omit<OrderCarriedOut, 'kind'> {
  return {
    orderId: order.id,
    action: orderText(order),
    operators: signatures.map(({ operator }) => operator),
    order: createHash('sha256').update(orderBytes(order)).digest('base64url'),
  };
}
