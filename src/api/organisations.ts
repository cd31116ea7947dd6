import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { inTransaction } from '../shared/database/transaction.ts';
import { entityId } from '../shared/keys.ts';
import { fullAccess } from './permissions/operations.ts';
import { type CreatedServiceAccount, insertServiceAccount } from './service-accounts/service-accounts.ts';

export interface NewOrganisation {
  readonly name: string;
  /** PEM of the key with which the service account signs user actions. */
  readonly credentialPublicKey: string;
  /** Default 730. */
  readonly tokenDays?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

/** What an application needs to call, beside the private key of its credential. */
export interface CreatedOrganisation extends CreatedServiceAccount {
  readonly orgId: string;
}

/**
 * An organisation with one service account that may do everything, in one transaction.
 * @throws CREDENTIAL_REFUSED
 */
export async function createOrganisation(pool: pg.Pool, organisation: NewOrganisation): Promise<CreatedOrganisation> {
  const { name, credentialPublicKey: publicKey, tokenDays, now = Date.now } = organisation;
  const orgId = entityId('or', randomBytes(17));
  const account = await inTransaction(pool, async (client) => {
    await client.query('insert into organisation (id, name) values ($1, $2)', [orgId, name]);
    const permissions = [fullAccess.id];
    const days = tokenDays === undefined ? {} : { tokenDays };
    return await insertServiceAccount(client, { organisation: orgId, name, publicKey, permissions, ...days }, now());
  });
  return { orgId, ...account };
}
