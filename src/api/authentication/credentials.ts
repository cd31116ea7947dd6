import { createPublicKey, type KeyObject } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';

/** The public keys with which service accounts sign user actions. */

/** Ids of the account's active credentials, oldest first. */
export async function activeCredentials(pool: pg.Pool, serviceAccount: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    'select id from credential where service_account = $1 and active order by created_at, id',
    [serviceAccount],
  );
  return rows.map((row) => row.id);
}

/** @throws CREDENTIAL_UNKNOWN unless it is an active credential of this account. */
export async function credentialPublicKey(
  pool: pg.Pool,
  serviceAccount: string,
  credentialId: string,
): Promise<KeyObject> {
  const { rows } = await pool.query<{ public_key: string }>(
    'select public_key from credential where id = $1 and service_account = $2 and active',
    [credentialId, serviceAccount],
  );
  const pem = rows[0]?.public_key;
  if (pem === undefined) throw new CodedError('CREDENTIAL_UNKNOWN', '');
  return createPublicKey(pem);
}
