import type pg from 'pg';
import type { NewKey } from '../keys.ts';

/** What a GenerateKey request for a wallet holds, beside `walletId` and `network`. */
export interface WalletToBe {
  readonly name?: string;
  readonly externalId?: string;
  readonly tags: readonly string[];
}

/**
 * Writes the wallets for which these keys were made, from their requests alone, in the transaction that stores the
 * keys: a wallet is there if and only if its key is.
 */
export async function completeWallets(client: pg.ClientBase, newKeys: readonly NewKey[]): Promise<void> {
  await client.query(
    `insert into wallet (id, organisation, network, key_id, name, external_id, tags, authorisation)
     select wallet_id, organisation, network, key_id, wallet ->> 'name', wallet ->> 'externalId',
       array(select jsonb_array_elements_text(wallet -> 'tags')), authorisation
     from request where id = any($1) and wallet is not null`,
    [newKeys.map((key) => key.requestId)],
  );
}
