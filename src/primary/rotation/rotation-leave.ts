import { asCodedError, CodedError } from '../../shared/errors.ts';
import { type ClockReading, clockText, isClockDoubtful } from '../../shared/orders/clock.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import { type Order, signedOrder } from '../../shared/orders/order.ts';
import { verifyApproval, verifyTime } from '../../shared/orders/verify-order.ts';
import { type Rotation, rotationSubject } from '../../shared/rotation/rotation-rows.ts';

/** Whether rows may be moved at this moment. */
export type RotationLeave =
  | 'given'
  /** The operators ordered it, for another time than now; why, for people. */
  | { readonly over: string };

/**
 * What the operators’ orders in a rotation’s row say now: pure. A row does not say when it was written, or by whom. So its
 * order must be good at the moment at which rows are moved, by a clock that can be believed; the order that started it has
 * its id, which makes it the only one of that order; and after a pause only a new order lets it go on.
 * @throws ORDER_REFUSED when no passing of time makes this row good, and for a clock that has jumped
 */
export function rotationLeave(
  rotation: Rotation,
  { keyStore, operators }: { readonly keyStore: string; readonly operators: Operators },
  clock: ClockReading,
): RotationLeave {
  const approved = (step: 'start' | 'resume', stored: unknown): Order => {
    const subject = `${step} ${rotationSubject(rotation)}`;
    const signed = signedOrder.safeParse(stored);
    if (!signed.success) throw refused(`${rotationSubject(rotation)} was ${words[step]} without an order`);
    verifyApproval(signed.data, { keyStore, about: { kind: 'rotation', subject } }, operators);
    return signed.data.order;
  };
  const start = approved('start', rotation.signedOrder);
  if (start.id.toLowerCase() !== rotation.id)
    throw refused(`${rotationSubject(rotation)} is rotation ${rotation.id}, and its order starts ${start.id}`);
  const order = rotation.resumes === 0 ? start : approved('resume', rotation.resumedBy);
  if (isClockDoubtful(clock.aheadMs)) throw refused(clockText(clock.aheadMs));
  try {
    verifyTime(order, clock.nowMs);
  } catch (error) {
    return { over: asCodedError(error).detail };
  }
  return 'given';
}

const words = { start: 'started', resume: 'resumed' } as const;

function refused(why: string): CodedError {
  return new CodedError('ORDER_REFUSED', why);
}
