import { type OrderKind, orderKinds } from '../../shared/orders/order.ts';
import type { CommandOption } from '../command.ts';

/** `--order` of a command that may need one. */
export function orderOption(kind: OrderKind): CommandOption {
  return {
    name: 'order',
    summary: `file with the operators’ signed order, where operators are configured: kind ${kind}, subject ${orderKinds[kind]}`,
    required: false,
    kind: 'text',
  };
}
