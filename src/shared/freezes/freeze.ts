import type pg from 'pg';
import { z } from 'zod';
import type { OrderAbout, SignedOrder } from '../orders/order.ts';

/**
 * A freeze: nothing is signed, and no key is made, for a key, an organisation or the whole key store, by any node of the
 * key store, whatever the signing API says. Anybody who may write in the driver database freezes at once; a thaw takes
 * the operators' order. Both are rows that nobody removes: each node believes in a freeze until it has seen a good thaw.
 */
export const freezeScope = z.enum(['key', 'organisation', 'key-store']);
export type FreezeScope = z.infer<typeof freezeScope>;

export interface Freeze {
  readonly id: string;
  readonly scope: FreezeScope;
  /** Id of the key, of the organisation, or of the key store. */
  readonly subject: string;
}

export interface StoredFreeze extends Freeze {
  readonly reason: string;
  readonly node: string;
  readonly frozenAt: Date;
  readonly thawedAt?: Date;
}

type Client = Pick<pg.ClientBase, 'query'>;

/** What an order to thaw is about: one freeze, so that it thaws no other. */
export function aboutThaw(freeze: string): OrderAbout {
  return { kind: 'thaw', subject: freeze };
}

export async function insertFreeze(
  client: Client,
  { id, scope, subject, reason, node }: Omit<StoredFreeze, 'frozenAt' | 'thawedAt'>,
): Promise<void> {
  await client.query('insert into frozen (id, scope, subject, reason, node) values ($1, $2, $3, $4, $5)', [
    id,
    scope,
    subject,
    reason,
    node,
  ]);
}

export async function insertThaw(
  client: Client,
  freeze: string,
  { order, node }: { readonly order: SignedOrder | undefined; readonly node: string },
): Promise<void> {
  await client.query('insert into thawed (frozen, signed_order, node) values ($1, $2, $3)', [
    freeze,
    order === undefined ? null : JSON.stringify(order),
    node,
  ]);
}

/** Newest first. `thawedAt`: somebody put a thaw there; whether it is good, each node finds out for itself. */
export async function listFreezes(client: Client): Promise<StoredFreeze[]> {
  const { rows } = await client.query<Omit<StoredFreeze, 'thawedAt'> & { thawedAt: Date | null }>(
    `select id, scope, subject, reason, node, frozen_at as "frozenAt",
       (select max(thawed_at) from thawed where thawed.frozen = frozen.id) as "thawedAt"
     from frozen order by frozen_at desc, id`,
  );
  return rows.map(({ thawedAt, ...row }) => ({ ...row, ...(thawedAt === null ? {} : { thawedAt }) }));
}
