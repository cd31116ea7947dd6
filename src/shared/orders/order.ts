import { z } from 'zod';

/**
 * An order: a document in which operators say that one thing shall be done once, to one key store, within a time. M of
 * the N operators whose keys are named in the configuration sign it with keys that stay with them (sign-order.ts); the
 * process that acts verifies it (verify-order.ts) and remembers its id (used-orders.ts).
 */

const subject = z.string().min(1).max(200);
/** SHA-256 of a document that the order approves as it is, lower-case hex. */
const documentSha256 = z.string().regex(/^[0-9a-f]{64}$/);

const kind = <Name extends string>(name: Name, subjectIs: string) =>
  z.strictObject({
    kind: z.literal(name),
    subject: subject.describe(subjectIs),
    documentSha256: documentSha256.optional(),
  });

/** What an order may be about, and what its subject names there. */
export const orderAbout = z.discriminatedUnion('kind', [
  kind('ceremony', 'the step of the ceremony, e.g. create, or deliver hsm-3'),
  kind('rotation', 'the step of the rotation, and the master keys'),
  kind('restore', 'the id of the backup; its file is the document'),
  kind('retire', 'the serial number of the HSM'),
  kind('pin-clear', 'the slot, as NODE/SLOT'),
  kind('thaw', 'the id of the freeze'),
  kind(
    'driver-add',
    'the node, and how its certificate is known: NAME, certificate SHA256, or DNS name NAME, or common name',
  ),
  kind('credentials', 'the version of the list; the list is the document'),
]);
export type OrderAbout = z.infer<typeof orderAbout>;
export type OrderKind = OrderAbout['kind'];

/** Each kind and what its subject is, for --help and docs. */
export const orderKinds: Readonly<Record<OrderKind, string>> = Object.fromEntries(
  orderAbout.options.map(({ shape }) => [shape.kind.value, shape.subject.description ?? '']),
) as Record<OrderKind, string>;

/** ISO 8601 in UTC with milliseconds: one way to write a moment. */
const moment = z.iso.datetime({ precision: 3 });

export const order = z.strictObject({
  version: z.literal(1),
  /** One order has one effect: this id is remembered where it was used. */
  id: z.uuid(),
  keyStore: z.string().min(1).max(64),
  about: orderAbout,
  /** For people: why. */
  reason: z.string().max(500),
  issuedAt: moment,
  expiresAt: moment,
});
export type Order = z.infer<typeof order>;

export const signedOrder = z.strictObject({
  order,
  signatures: z
    .array(
      z.strictObject({
        /** As the configuration names the operator. */
        operator: z.string().min(1).max(64),
        /** base64url: Ed25519 as in RFC 8032, or DER of ECDSA on P-256 with SHA-256. */
        signature: z.string().regex(/^[A-Za-z0-9_-]{1,200}$/),
      }),
    )
    .max(64),
});
export type SignedOrder = z.infer<typeof signedOrder>;

/** An order is good for at most this long: what is older is forgotten by people, and must not work by surprise. */
export const longestValidityMs = 31 * 86_400_000;

/** One line for people and logs. */
export function orderText({ about, keyStore }: Pick<Order, 'about' | 'keyStore'>): string {
  const document = about.documentSha256 === undefined ? '' : `, document ${about.documentSha256}`;
  return `${about.kind} of ${about.subject}${document}, key store ${keyStore}`;
}
