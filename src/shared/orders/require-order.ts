import type { OperatorsConfiguration } from '../configuration/sections.ts';
import { CodedError } from '../errors.ts';
import { readOperators } from './operators.ts';
import { type OrderAbout, orderText, type SignedOrder } from './order.ts';
import { readOrderFile } from './order-file.ts';
import { verifyOrder } from './verify-order.ts';

/** Of a driver’s or a ceremony’s configuration; the API’s has several key stores, so its commands name one. */
export interface OrderedBy {
  readonly keyStore: string;
  readonly operators?: OperatorsConfiguration | undefined;
}

/**
 * What a command calls before it does what takes M operators. The result is a right that is not used up yet: record it
 * (used-orders.ts) before the effect, or in its transaction.
 *
 *     const order = requireOrder(configuration, { kind: 'pin-clear', subject: 'node-1/hsm-1' }, text.get('order'));
 *     if (order !== undefined) await recordOrder(client, order, { node });
 *
 * @returns undefined where no operators are configured: then the one at the keyboard is enough.
 * @throws ORDER_MISSING, ORDER_UNREADABLE, ORDER_REFUSED, ORDER_NOT_CHECKED, CONFIG_INVALID
 */
export function requireOrder(
  { keyStore, operators }: OrderedBy,
  about: OrderAbout,
  orderFile: string | undefined,
  nowMs = Date.now(),
): SignedOrder | undefined {
  const wanted = { keyStore, about };
  if (operators === undefined) {
    // It would look as if somebody had looked at the signatures.
    if (orderFile !== undefined) throw new CodedError('ORDER_NOT_CHECKED', orderFile);
    return undefined;
  }
  if (orderFile === undefined) throw new CodedError('ORDER_MISSING', orderText(wanted));
  const signed = readOrderFile(orderFile);
  verifyOrder(signed, wanted, readOperators(operators), nowMs);
  return signed;
}
