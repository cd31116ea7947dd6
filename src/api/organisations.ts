import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { entityId, type IdPrefix } from '../shared/keys.ts';
import { bearerTokenHash, newBearerToken } from './authentication/bearer-token.ts';
import { credentialPem } from './authentication/credentials.ts';

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
export interface CreatedOrganisation {
  readonly orgId: string;
  /** The service account. */
  readonly userId: string;
  readonly tokenId: string;
  /** Shown here only: the database keeps its hash. */
  readonly authToken: string;
  readonly credentialId: string;
}

const defaultTokenDays = 730;
const dayMs = 86_400_000;

/**
 * An organisation with one service account, its access token and its credential, in one transaction.
 * @throws CREDENTIAL_REFUSED
 */
export async function createOrganisation(pool: pg.Pool, organisation: NewOrganisation): Promise<CreatedOrganisation> {
  const { name, tokenDays = defaultTokenDays, now = Date.now } = organisation;
  const publicKey = credentialPem(organisation.credentialPublicKey);
  const orgId = newId('or');
  const userId = newId('us');
  const tokenId = newId('to');
  const credentialId = newId('cr');
  const expiresAt = new Date(now() + tokenDays * dayMs);
  const authToken = newBearerToken({ organisation: orgId, serviceAccount: userId, accessToken: tokenId, expiresAt });

  await inTransaction(pool, async (client) => {
    await client.query('insert into organisation (id, name) values ($1, $2)', [orgId, name]);
    await client.query('insert into service_account (id, organisation, name) values ($1, $2, $3)', [
      userId,
      orgId,
      name,
    ]);
    await client.query(
      'insert into access_token (id, service_account, token_sha256, expires_at) values ($1, $2, $3, $4)',
      [tokenId, userId, bearerTokenHash(authToken), expiresAt],
    );
    await client.query('insert into credential (id, service_account, public_key) values ($1, $2, $3)', [
      credentialId,
      userId,
      publicKey,
    ]);
  });
  return { orgId, userId, tokenId, authToken, credentialId };
}

function newId(prefix: IdPrefix): string {
  return entityId(prefix, randomBytes(17));
}

async function inTransaction(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    await work(client);
    await client.query('commit');
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    // A connection whose transaction failed is closed: that rolls back whatever state it is in.
    client.release(broken);
  }
}
