import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';

/** A public key with which an account signs user actions. */
export interface Credential {
  readonly id: string;
  readonly name: string;
  /** PEM. */
  readonly publicKey: string;
  readonly active: boolean;
  readonly createdAt: Date;
}

interface CredentialRecord {
  readonly id: string;
  readonly name: string;
  readonly public_key: string;
  readonly active: boolean;
  readonly created_at: Date;
}

const credentialColumns = 'id, name, public_key, active, created_at';
/** All active ones are named in every challenge. */
const credentialsPerAccount = 20;

export async function listCredentials(pool: pg.Pool, serviceAccount: string): Promise<Credential[]> {
  const { rows } = await pool.query<CredentialRecord>(
    `select ${credentialColumns} from credential where service_account = $1 order by created_at, id`,
    [serviceAccount],
  );
  return rows.map(credentialOf);
}

/** @throws CREDENTIAL_REFUSED when the id is taken, or the account has as many as it may. */
export async function insertCredential(
  client: pg.ClientBase,
  serviceAccount: string,
  { id, name, publicKey }: Pick<Credential, 'id' | 'name' | 'publicKey'>,
): Promise<Credential> {
  const { rows } = await client.query<CredentialRecord>(
    `insert into credential (id, service_account, public_key, name)
     select $1, $2, $3, $4 where (select count(*) from credential where service_account = $2) < $5
     on conflict do nothing returning ${credentialColumns}`,
    [id, serviceAccount, publicKey, name, credentialsPerAccount],
  );
  if (rows[0] === undefined)
    throw new CodedError(
      'CREDENTIAL_REFUSED',
      `its id is taken, or the account has ${credentialsPerAccount} credentials`,
    );
  return credentialOf(rows[0]);
}

/** @throws NOT_FOUND, BAD_REQUEST for the account's last active one: nothing could be signed any more. */
export async function setCredentialActive(
  client: pg.ClientBase,
  serviceAccount: string,
  id: string,
  active: boolean,
): Promise<void> {
  // All of them are held: two calls must not switch off the last two.
  const { rows } = await client.query<{ id: string; active: boolean }>(
    'select id, active from credential where service_account = $1 order by id for update',
    [serviceAccount],
  );
  if (!rows.some((row) => row.id === id)) throw new CodedError('NOT_FOUND', `credential ${id}`);
  if (!active && !rows.some((row) => row.active && row.id !== id))
    throw new CodedError('BAD_REQUEST', `credential ${id} is the account’s last active one`);
  await client.query('update credential set active = $2 where id = $1', [id, active]);
}

function credentialOf(record: CredentialRecord): Credential {
  return {
    id: record.id,
    name: record.name,
    publicKey: record.public_key,
    active: record.active,
    createdAt: record.created_at,
  };
}
