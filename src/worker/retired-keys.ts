import type pg from 'pg';
import { CodedError } from '../shared/errors.ts';
import type { KeyRing } from '../shared/key-ring.ts';

/**
 * A node that slept through a rotation must not come back with the old key as its current one: the database would refuse
 * every key it makes.
 * @throws CONFIG_INVALID
 */
export async function refuseRetiredKeys(pool: Pick<pg.Pool, 'query'>, { current }: KeyRing): Promise<void> {
  const ids = [current.masterKey.id, current.integrityKey.id];
  const { rows } = await pool.query<{ id: string }>('select id from retired_key where id = any($1::text[])', [ids]);
  const [retired] = rows;
  if (retired === undefined) return;
  throw new CodedError(
    'CONFIG_INVALID',
    `ceremonyFile is of ${retired.id}, which a rotation has retired: name the file of the key after it`,
  );
}
