import type pg from 'pg';
import { allowed } from '../permissions/operations.ts';

/** An active credential of an active account, and whether the account may do something. For lists that operators approve. */
export interface PinnableCredential {
  readonly id: string;
  readonly organisation: string;
  /** Of the account, and of the credential where it has one. */
  readonly name: string;
  /** PEM. */
  readonly publicKey: string;
  may(operation: string): boolean;
}

export async function pinnableCredentials(pool: pg.Pool): Promise<PinnableCredential[]> {
  const { rows } = await pool.query<{
    id: string;
    organisation: string;
    account_name: string;
    name: string;
    public_key: string;
    assigned: string[];
    own: string[];
  }>(
    `select credential.id, account.organisation, account.name as account_name, credential.name, credential.public_key,
       array(select permission from permission_assignment where service_account = account.id) as assigned,
       array(select unnest(permission.operations)
         from permission_assignment assignment join permission on permission.id = assignment.permission
         where assignment.service_account = account.id and permission.organisation = account.organisation
           and not permission.archived) as own
     from credential join service_account account on account.id = credential.service_account
     where credential.active and account.active
     order by account.organisation, credential.created_at, credential.id`,
  );
  return rows.map((row) => ({
    id: row.id,
    organisation: row.organisation,
    name: row.name === '' ? row.account_name : `${row.account_name}: ${row.name}`,
    publicKey: row.public_key,
    may: allowed(row.assigned, row.own).has,
  }));
}
