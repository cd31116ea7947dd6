import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { entityId } from '../../shared/keys.ts';
import { credentialPem } from '../../shared/user-action/credential-key.ts';
import { bearerTokenHash, newBearerToken } from '../authentication/bearer-token.ts';

export const defaultTokenDays = 730;
const dayMs = 86_400_000;

export interface NewServiceAccount {
  readonly organisation: string;
  readonly name: string;
  /** PEM of the key with which the account signs user actions. */
  readonly publicKey: string;
  /** Ids of permissions, checked by the caller. */
  readonly permissions: readonly string[];
  readonly externalId?: string;
  /** Default 730. */
  readonly tokenDays?: number;
}

/** What the account needs to call, beside the private key of its credential. */
export interface CreatedServiceAccount {
  readonly userId: string;
  readonly tokenId: string;
  /** Shown here only: the database keeps its hash. */
  readonly authToken: string;
  readonly credentialId: string;
}

/**
 * An account with its access token, its credential and its permissions; inside the caller's transaction.
 * @param now unix ms.
 * @throws CREDENTIAL_REFUSED
 */
export async function insertServiceAccount(
  client: pg.ClientBase,
  account: NewServiceAccount,
  now: number,
): Promise<CreatedServiceAccount> {
  const { organisation, name, permissions, externalId, tokenDays = defaultTokenDays } = account;
  const publicKey = credentialPem(account.publicKey);
  const [userId, tokenId, credentialId] = [newId('us'), newId('to'), newId('cr')];
  const expiresAt = new Date(now + tokenDays * dayMs);
  const authToken = newBearerToken({ organisation, serviceAccount: userId, accessToken: tokenId, expiresAt });
  await client.query('insert into service_account (id, organisation, name, external_id) values ($1, $2, $3, $4)', [
    userId,
    organisation,
    name,
    externalId ?? null,
  ]);
  await client.query('insert into credential (id, service_account, public_key, name) values ($1, $2, $3, $4)', [
    credentialId,
    userId,
    publicKey,
    name,
  ]);
  await client.query(
    'insert into access_token (id, service_account, token_sha256, expires_at, credential) values ($1, $2, $3, $4, $5)',
    [tokenId, userId, bearerTokenHash(authToken), expiresAt, credentialId],
  );
  for (const permission of permissions)
    await client.query('insert into permission_assignment (id, service_account, permission) values ($1, $2, $3)', [
      newId('as'),
      userId,
      permission,
    ]);
  return { userId, tokenId, authToken, credentialId };
}

export interface ServiceAccount {
  readonly id: string;
  readonly organisation: string;
  readonly name: string;
  readonly externalId?: string;
  readonly active: boolean;
  readonly createdAt: Date;
  readonly tokens: readonly AccessToken[];
  readonly assignments: readonly Assignment[];
}

export interface AccessToken {
  readonly id: string;
  readonly credential: string;
  readonly publicKey: string;
  readonly active: boolean;
  readonly createdAt: string;
}

export interface Assignment {
  readonly id: string;
  readonly permission: string;
  /** Undefined for a built-in one. */
  readonly name?: string;
}

interface AccountRecord {
  readonly id: string;
  readonly organisation: string;
  readonly name: string;
  readonly external_id: string | null;
  readonly active: boolean;
  readonly created_at: Date;
  readonly tokens: AccessToken[];
  readonly assignments: { id: string; permission: string; name: string | null }[];
}

/** An organisation's accounts that were not deleted, oldest first. @param id only this one. */
export async function readServiceAccounts(
  database: pg.Pool | pg.ClientBase,
  organisation: string,
  id?: string,
): Promise<ServiceAccount[]> {
  const { rows } = await database.query<AccountRecord>(
    `select account.id, account.organisation, account.name, account.external_id, account.active, account.created_at,
       array(select json_build_object('id', token.id, 'credential', credential.id, 'publicKey', credential.public_key,
           'active', token.active and token.expires_at > now(), 'createdAt', token.created_at)
         from access_token token join credential on credential.id = coalesce(token.credential,
           (select id from credential where service_account = account.id order by created_at, id limit 1))
         where token.service_account = account.id order by token.created_at, token.id) as tokens,
       array(select json_build_object('id', assignment.id, 'permission', assignment.permission, 'name', permission.name)
         from permission_assignment assignment left join permission on permission.id = assignment.permission
         where assignment.service_account = account.id order by assignment.created_at, assignment.id) as assignments
     from service_account account
     where account.organisation = $1 and account.archived_at is null and ($2::text is null or account.id = $2)
     order by account.created_at, account.id`,
    [organisation, id ?? null],
  );
  return rows.map((row) => ({
    id: row.id,
    organisation: row.organisation,
    name: row.name,
    ...(row.external_id === null ? {} : { externalId: row.external_id }),
    active: row.active,
    createdAt: row.created_at,
    tokens: row.tokens,
    assignments: row.assignments.map(({ id, permission, name }) => ({
      id,
      permission,
      ...(name === null ? {} : { name }),
    })),
  }));
}

/** @throws NOT_FOUND */
export async function requireServiceAccount(
  database: pg.Pool | pg.ClientBase,
  organisation: string,
  id: string,
): Promise<ServiceAccount> {
  const [account] = await readServiceAccounts(database, organisation, id);
  if (account === undefined) throw new CodedError('NOT_FOUND', `service account ${id}`);
  return account;
}

/** @throws NOT_FOUND */
export async function updateServiceAccount(
  client: pg.ClientBase,
  organisation: string,
  id: string,
  change: { readonly name?: string | undefined; readonly externalId?: string | undefined },
): Promise<void> {
  await changeAccount(
    client,
    id,
    'update service_account set name = coalesce($3, name), external_id = coalesce($4, external_id)',
    [organisation, id, change.name ?? null, change.externalId ?? null],
  );
}

/** A deactivated account's tokens are refused from the next call on. @throws NOT_FOUND */
export async function setServiceAccountActive(
  client: pg.ClientBase,
  organisation: string,
  id: string,
  active: boolean,
): Promise<void> {
  await changeAccount(client, id, 'update service_account set active = $3', [organisation, id, active]);
}

/** For ever. @throws NOT_FOUND */
export async function archiveServiceAccount(client: pg.ClientBase, organisation: string, id: string): Promise<void> {
  await changeAccount(client, id, 'update service_account set active = false, archived_at = now()', [organisation, id]);
  await client.query('update access_token set active = false where service_account = $1', [id]);
  await client.query('update credential set active = false where service_account = $1', [id]);
}

async function changeAccount(
  client: pg.ClientBase,
  id: string,
  update: string,
  values: readonly unknown[],
): Promise<void> {
  const { rowCount } = await client.query(`${update} where organisation = $1 and id = $2 and archived_at is null`, [
    ...values,
  ]);
  if (rowCount !== 1) throw new CodedError('NOT_FOUND', `service account ${id}`);
}

function newId(prefix: 'us' | 'to' | 'cr' | 'as'): string {
  return entityId(prefix, randomBytes(17));
}
