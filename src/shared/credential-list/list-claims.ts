import { CodedError } from '../errors.ts';
import type { Operators } from '../orders/operators.ts';
import { type SignedOrder, signedOrder } from '../orders/order.ts';
import { verifyApproval } from '../orders/verify-order.ts';

/**
 * Rows of the driver database that say they are lists of credentials. Whoever may write there may add any number of rows,
 * of any version; so a row is a claim, and counts when its order, a few kilobytes, is the operators' for a list of its
 * version, and its text has the hash in the order. Orders are looked at first: the text of a claim that is none of
 * theirs, megabytes perhaps, is never read.
 */
export interface ListClaim {
  readonly id: string;
  readonly version: number;
  /** Null for one that is longer than an order can be. */
  readonly order: unknown;
  /** What the database says workers attested of the order; whoever asks for its time checks each. */
  readonly attestations: readonly string[];
}

/** Claims that are read at once. */
export const claimsPage = 200;

/** An order with sixty-four signatures has about ten thousand. */
const longestOrder = 32_768;

/**
 * A page of claims, the highest versions first.
 * $1: the lowest version that is of use. $2: ids of claims that were looked at before.
 */
export const claimsText = `select id, version, case when length(signed_order::text) <= ${longestOrder} then signed_order end as "order",
    (select coalesce(jsonb_agg(attestation), '[]') from order_in_force
      where order_id = signed_order->'order'->>'id') as attestations
  from credential_list
  where version >= $1 and not exists (select from unnest($2::uuid[]) as seen (id) where seen.id = credential_list.id)
  order by version desc, id limit ${claimsPage}`;

/** $1: the claim's id. $2: the hash in its order, lower-case hex. No row where the text is another. */
export const claimedTextText = `select list as text from credential_list
  where id = $1 and encode(sha256(convert_to(list, 'UTF8')), 'hex') = $2`;

/** What the operators approved: a list of this version, whose bytes have this hash. */
export interface ApprovedClaim {
  readonly signed: SignedOrder;
  readonly sha256: string;
}

/**
 * Whether the operators approved a list of the version that a claim says, and which. The time of the order is not looked at.
 * @throws ORDER_REFUSED
 */
export function approvedClaim(
  { version, order }: Pick<ListClaim, 'version' | 'order'>,
  keyStore: string,
  operators: Operators,
): ApprovedClaim {
  const { success, data: signed } = signedOrder.safeParse(order);
  if (!success) throw new CodedError('ORDER_REFUSED', 'it is none');
  const sha256 = signed.order.about.documentSha256;
  if (sha256 === undefined) throw new CodedError('ORDER_REFUSED', 'it names no document');
  const about = { kind: 'credentials', subject: `version ${version}`, documentSha256: sha256 } as const;
  verifyApproval(signed, { keyStore, about }, operators);
  return { signed, sha256 };
}
