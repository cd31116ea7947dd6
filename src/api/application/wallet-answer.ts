import { z } from 'zod';
import { addressOf } from '../../shared/chains/addresses.ts';
import type { Key } from '../keys.ts';
import type { Wallet } from '../wallets/wallets.ts';
import { curve, date, publicKey, scheme, status } from './answer-fields.ts';

/** A wallet as applications see it (contract of the Dfns API, section 7); absent members are left out. */
export const walletSchema = z.object({
  id: z.string(),
  network: z.string(),
  address: z.string().optional().describe('Absent for pseudo networks, and where the format of addresses is not known'),
  signingKey: z.object({ id: z.string(), scheme, curve, publicKey }),
  status,
  custodial: z.literal(true),
  dateCreated: date,
  dateDeleted: date.optional(),
  name: z.string().optional(),
  externalId: z.string().optional(),
  tags: z.array(z.string()),
});

/** @param key the wallet's own, as it was read with its attestation: addresses come from nothing else. */
export function walletAnswer(wallet: Wallet, key: Key): z.infer<typeof walletSchema> {
  const address = addressOf(wallet.network, key.publicKey);
  return {
    id: wallet.id,
    network: wallet.network,
    ...(address === undefined ? {} : { address }),
    signingKey: { id: key.id, scheme: key.type.scheme, curve: key.type.curve, publicKey: key.publicKey },
    status: wallet.status,
    custodial: true,
    dateCreated: wallet.createdAt.toISOString(),
    ...(wallet.archivedAt === undefined ? {} : { dateDeleted: wallet.archivedAt.toISOString() }),
    ...(wallet.name === undefined ? {} : { name: wallet.name }),
    ...(wallet.externalId === undefined ? {} : { externalId: wallet.externalId }),
    tags: [...wallet.tags],
  };
}
