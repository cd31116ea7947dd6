import { z } from 'zod';
import type { Key } from '../keys.ts';
import type { WalletOfKey } from '../wallets/wallets.ts';
import { curve, date, publicKey, scheme, status } from './answer-fields.ts';

/** A key as applications see it (contract of the Dfns API, section 4); absent members are left out. */
export const keySchema = z.object({
  id: z.string(),
  scheme,
  curve,
  publicKey,
  name: z.string().optional(),
  status,
  custodial: z.literal(true).describe('The organisation’s, not delegated to an end user'),
  dateCreated: date,
  dateDeleted: date.optional(),
});
export type KeyAnswer = z.infer<typeof keySchema>;

export const keyDetailSchema = keySchema.extend({
  wallets: z.array(z.object({ id: z.string(), network: z.string() })),
  store: z.object({ id: z.string(), kind: z.literal('Hsm'), keyId: z.string() }),
});

export function keyAnswer(key: Key): KeyAnswer {
  return {
    id: key.id,
    scheme: key.type.scheme,
    curve: key.type.curve,
    publicKey: key.publicKey,
    ...(key.name === undefined ? {} : { name: key.name }),
    status: key.status,
    custodial: true,
    dateCreated: key.createdAt.toISOString(),
    ...(key.archivedAt === undefined ? {} : { dateDeleted: key.archivedAt.toISOString() }),
  };
}

export function keyDetailAnswer(key: Key, wallets: readonly WalletOfKey[]): z.infer<typeof keyDetailSchema> {
  return {
    ...keyAnswer(key),
    wallets: wallets.map(({ id, network }) => ({ id, network })),
    // The wrapped key is found by the key's own id.
    store: { id: key.keyStore, kind: 'Hsm', keyId: key.id },
  };
}
