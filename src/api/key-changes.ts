import type pg from 'pg';
import { CodedError } from '../shared/errors.ts';

/** @throws NOT_FOUND */
export async function renameKey(
  client: pg.ClientBase,
  organisation: string,
  keyId: string,
  name: string | null,
): Promise<void> {
  const { rowCount } = await client.query('update key set name = $3 where id = $1 and organisation = $2', [
    keyId,
    organisation,
    name,
  ]);
  if (rowCount !== 1) throw new CodedError('NOT_FOUND', `key ${keyId}`);
}

/** The key and its wallets sign nothing any more; the wrapped key stays where it is. @throws NOT_FOUND */
export async function archiveKey(client: pg.ClientBase, organisation: string, keyId: string): Promise<void> {
  const { rowCount } = await client.query(
    `update key set status = 'Archived', archived_at = coalesce(archived_at, now()) where id = $1 and organisation = $2`,
    [keyId, organisation],
  );
  if (rowCount !== 1) throw new CodedError('NOT_FOUND', `key ${keyId}`);
  await client.query(
    `update wallet set status = 'Archived', archived_at = now() where key_id = $1 and organisation = $2 and status = 'Active'`,
    [keyId, organisation],
  );
}
