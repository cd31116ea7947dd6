import { asCodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import { type OrderAbout, signedOrder } from '../../shared/orders/order.ts';
import { verifyApproval } from '../../shared/orders/verify-order.ts';

/** How a node of the list is known, as far as an order says it. */
export interface NodeIdentity {
  readonly name: string;
  readonly keyStore: string;
  readonly certificateSha256?: string | null | undefined;
  readonly san?: string | null | undefined;
}

/** What an order to let a node in is about: its name, and how its certificate is known. */
export function aboutNode({ name, certificateSha256, san }: NodeIdentity): OrderAbout {
  if (certificateSha256 != null) return { kind: 'driver-add', subject: `${name}, certificate ${certificateSha256}` };
  if (san != null) return { kind: 'driver-add', subject: `${name}, DNS name ${san}` };
  return { kind: 'driver-add', subject: `${name}, common name` };
}

/** Whether the operators let in a node of the table. What was found bad is told once, and what was good not checked again. */
export function createOrderedNodes(operators: Operators | undefined, log: Log) {
  const known = new Map<string, boolean>();
  /** Rows come from an attacker too. */
  const mostKnown = 10_000;

  return {
    isOrdered(node: NodeIdentity, order: unknown): boolean {
      if (operators === undefined) return true;
      const { name, keyStore, certificateSha256, san } = node;
      const row = JSON.stringify([name, keyStore, certificateSha256, san, order]);
      const before = known.get(row);
      if (before !== undefined) return before;
      const good = hasGoodOrder(node, order, operators);
      if (!good) log.error({ node: name, keyStore }, 'driver node is not let in: no good order of the operators');
      if (known.size >= mostKnown) known.clear();
      known.set(row, good);
      return good;
    },
  };

  function hasGoodOrder(node: NodeIdentity, order: unknown, by: Operators): boolean {
    try {
      verifyApproval(signedOrder.parse(order), { keyStore: node.keyStore, about: aboutNode(node) }, by);
      return true;
    } catch (error) {
      log.debug({ node: node.name, cause: asCodedError(error).message }, 'order of a driver node is not good');
      return false;
    }
  }
}
export type OrderedNodes = ReturnType<typeof createOrderedNodes>;
