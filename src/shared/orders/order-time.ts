import type { KeyObject } from 'node:crypto';
import { asCodedError, CodedError } from '../errors.ts';
import { type ClockReading, clockText, isClockDoubtful } from './clock.ts';
import type { Order } from './order.ts';
import { inForceHolds } from './order-in-force.ts';
import { verifyTime } from './verify-order.ts';

/**
 * Was an approved order that lies in the database obeyed in its time? A row does not say so. What vouches for it: a
 * worker's attestation; or that it is good now, by a clock that can be believed, so that this worker obeys it in its time.
 */
export type OrderTime =
  | { readonly vouchedBy: 'attestation' | 'clock' }
  /** Now; an attestation may come, or the clock get right. */
  | { readonly refused: CodedError };

/** @param attestations what stands in the database beside the order; each is checked. */
export function orderTime(
  order: Order,
  attestations: readonly string[],
  pinned: { readonly keyStore: string; readonly attestationKey: KeyObject },
  clock: ClockReading,
): OrderTime {
  if (attestations.some((one) => inForceHolds(pinned.attestationKey, pinned.keyStore, order, one)))
    return { vouchedBy: 'attestation' };
  if (isClockDoubtful(clock.aheadMs)) return { refused: new CodedError('ORDER_REFUSED', clockText(clock.aheadMs)) };
  try {
    verifyTime(order, clock.nowMs);
  } catch (error) {
    return { refused: asCodedError(error) };
  }
  return { vouchedBy: 'clock' };
}
