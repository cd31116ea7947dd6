import type pg from 'pg';
import type { Authorisation } from '../../shared/driver-protocol.ts';

/** One call that changed something, with the proof that the caller's credential signed exactly it. */
export interface AuditEntry {
  /** Id of the user action. */
  readonly id: string;
  readonly serviceAccount: string;
  readonly serviceAccountName: string;
  readonly authorisation: Authorisation;
  /** Id of what was made or changed. */
  readonly effect: string;
  /** PEM. */
  readonly publicKey: string;
  readonly createdAt: Date;
}

interface AuditRecord {
  readonly user_action: string;
  readonly service_account: string;
  readonly name: string;
  readonly authorisation: Authorisation;
  readonly effect: string;
  readonly public_key: string;
  readonly created_at: Date;
}

/** @param id of the user action: the SHA-256 of its challenge, see challenge.ts. */
export async function findAuditEntry(pool: pg.Pool, organisation: string, id: string): Promise<AuditEntry | undefined> {
  const { rows } = await pool.query<AuditRecord>(
    `select entry.user_action, entry.service_account, account.name, entry.authorisation, entry.effect,
       credential.public_key, entry.created_at
     from audit_log entry join service_account account on account.id = entry.service_account
     join credential on credential.id = entry.authorisation ->> 'credentialId'
     where entry.organisation = $1 and entry.user_action = $2`,
    [organisation, id],
  );
  const row = rows[0];
  return (
    row && {
      id: row.user_action,
      serviceAccount: row.service_account,
      serviceAccountName: row.name,
      authorisation: row.authorisation,
      effect: row.effect,
      publicKey: row.public_key,
      createdAt: row.created_at,
    }
  );
}
