import type { SignedOrder } from '../../shared/orders/order.ts';

/** An order for the people who sign it: everything that the signature covers. */
export function orderLines({ order, signatures }: SignedOrder): string[] {
  const { id, keyStore, about, reason, issuedAt, expiresAt } = order;
  const signers = signatures.map(({ operator }) => operator);
  return [
    `order      ${id}`,
    `what       ${about.kind}`,
    `subject    ${about.subject}`,
    ...(about.documentSha256 === undefined ? [] : [`document   sha256 ${about.documentSha256}`]),
    `key store  ${keyStore}`,
    `reason     ${reason === '' ? '-' : reason}`,
    `valid      ${issuedAt} to ${expiresAt}`,
    `signed by  ${signers.length === 0 ? 'nobody yet' : signers.join(', ')}`,
  ];
}
