import { type KeyObject, verify } from 'node:crypto';
import { CodedError } from '../errors.ts';
import type { Operators } from './operators.ts';
import { longestValidityMs, type Order, type OrderAbout, orderText, type SignedOrder } from './order.ts';
import { orderBytes } from './order-bytes.ts';

/** What a process is about to do, and for which key store. */
export interface WantedOrder {
  readonly keyStore: string;
  readonly about: OrderAbout;
}

/**
 * Do the operators order exactly this, now? Pure; whether the order was used before is not known here.
 * @param nowMs unix time by the clock of the process that acts.
 * @throws ORDER_REFUSED, saying why
 */
export function verifyOrder(signed: SignedOrder, wanted: WantedOrder, operators: Operators, nowMs: number): void {
  verifyApproval(signed, wanted, operators);
  verifyTime(signed.order, nowMs);
}

/** @throws ORDER_REFUSED for an order that is not good at this moment */
export function verifyTime({ issuedAt, expiresAt }: Order, nowMs: number): void {
  const [from, until] = [Date.parse(issuedAt), Date.parse(expiresAt)];
  if (until <= from) throw refused(`it expires at ${expiresAt}, before it was issued`);
  if (until - from > longestValidityMs)
    throw refused(`it would be valid for more than ${longestValidityMs / 86_400_000} days`);
  const now = new Date(nowMs).toISOString();
  if (nowMs < from) throw refused(`it is not valid before ${issuedAt}, and this machine’s clock says ${now}`);
  if (nowMs >= until) throw refused(`it expired at ${expiresAt}, and this machine’s clock says ${now}`);
}

/**
 * The same without the time: for what was ordered and carried out in its time, and is read again later, as a list that
 * is in force. Whoever reads it again must know that it was carried out in time (order-in-force.ts).
 * @throws ORDER_REFUSED
 */
export function verifyApproval({ order, signatures }: SignedOrder, wanted: WantedOrder, operators: Operators): void {
  const same =
    order.keyStore === wanted.keyStore &&
    order.about.kind === wanted.about.kind &&
    order.about.subject === wanted.about.subject &&
    order.about.documentSha256 === wanted.about.documentSha256;
  if (!same) throw refused(`it orders ${orderText(order)}; wanted is ${orderText(wanted)}`);
  const bytes = orderBytes(order);
  const signers = new Set<string>();
  for (const { operator, signature } of signatures) {
    const key = operators.keys.get(operator);
    if (key === undefined) throw refused(`${operator}, who signed it, is no operator`);
    if (signers.has(operator)) throw refused(`${operator} signed it twice`);
    if (!signedBy(key, bytes, signature))
      throw refused(`the signature of ${operator} is not by the key of ${operator}`);
    signers.add(operator);
  }
  if (signers.size < operators.threshold)
    throw refused(
      `${signers.size} of the ${operators.threshold} operators that it needs signed it${signers.size === 0 ? '' : ` (${[...signers].join(', ')})`}`,
    );
}

function signedBy(key: KeyObject, bytes: Buffer, signature: string): boolean {
  try {
    return verify(
      key.asymmetricKeyType === 'ed25519' ? null : 'sha256',
      bytes,
      key,
      Buffer.from(signature, 'base64url'),
    );
  } catch {
    // Some malformed signatures make OpenSSL throw instead of answering no.
    return false;
  }
}

function refused(why: string): CodedError {
  return new CodedError('ORDER_REFUSED', why);
}
