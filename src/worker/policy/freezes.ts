import { asCodedError, CodedError } from '../../shared/errors.ts';
import { aboutThaw, type Freeze } from '../../shared/freezes/freeze.ts';
import type { Log } from '../../shared/log.ts';
import type { ClockReading } from '../../shared/orders/clock.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import { type SignedOrder, signedOrder } from '../../shared/orders/order.ts';
import type { OrderTime } from '../../shared/orders/order-time.ts';
import { verifyApproval } from '../../shared/orders/verify-order.ts';
import type { PolicyRows } from './policy-rows.ts';

/** What is frozen, as this worker believes it: each freeze that it ever saw, until it has seen a good thaw. */
export interface Freezes {
  take(rows: Pick<PolicyRows, 'freezes' | 'thaws'>, clock: ClockReading): void;
  readonly frozen: readonly Freeze[];
}

export interface FreezesParts {
  readonly keyStore: string;
  /** Without operators anybody's thaw counts. */
  readonly operators: Operators | undefined;
  readonly remembered: readonly Freeze[];
  readonly timeOf: (signed: SignedOrder, attestations: readonly string[], clock: ClockReading) => OrderTime;
  /** An order is obeyed from now on that no worker has attested. */
  readonly onUnattested: (signed: SignedOrder) => void;
  readonly log: Log;
}

export function createFreezes({ keyStore, operators, remembered, timeOf, onUnattested, log }: FreezesParts): Freezes {
  const freezes = new Map<string, Freeze>(remembered.map((freeze) => [freeze.id, freeze]));
  const thawed = new Set<string>();
  /** Thaws that are not good; each is told once, and looked at again: an attestation may come. */
  const told = new Set<string>();

  function requireGood({ freeze, order, attestations }: PolicyRows['thaws'][number], clock: ClockReading): void {
    if (operators === undefined) return;
    const { success, data } = signedOrder.safeParse(order);
    if (!success) throw new CodedError('ORDER_REFUSED', 'it is none');
    verifyApproval(data, { keyStore, about: aboutThaw(freeze) }, operators);
    const time = timeOf(data, attestations, clock);
    if ('refused' in time) throw time.refused;
    if (time.vouchedBy === 'clock') onUnattested(data);
  }

  function isGood(thaw: PolicyRows['thaws'][number], clock: ClockReading): boolean {
    try {
      requireGood(thaw, clock);
      return true;
    } catch (error) {
      const { id, freeze } = thaw;
      if (!told.has(id)) log.error({ freeze, cause: asCodedError(error).message }, 'thaw is not good');
      told.add(id);
      return false;
    }
  }

  return {
    take({ freezes: rows, thaws }, clock) {
      for (const thaw of thaws) {
        if (thawed.has(thaw.freeze) || !isGood(thaw, clock)) continue;
        thawed.add(thaw.freeze);
        if (freezes.delete(thaw.freeze)) log.info({ freeze: thaw.freeze }, 'thawed');
      }
      for (const freeze of rows) {
        if (freezes.has(freeze.id) || thawed.has(freeze.id)) continue;
        freezes.set(freeze.id, freeze);
        log.warn({ freeze: freeze.id, scope: freeze.scope, subject: freeze.subject }, 'frozen');
      }
    },
    get frozen() {
      return [...freezes.values()];
    },
  };
}
