import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import type { CommandOption } from '../command.ts';

export const organisationOption: CommandOption = {
  name: 'organisation',
  summary: 'id of the organisation; not needed while there is only one',
  required: false,
  kind: 'text',
};

/** @throws NOT_FOUND where it does not exist, or none is given and there are several. */
export async function chooseOrganisation(pool: pg.Pool, given: string | undefined): Promise<string> {
  const { rows } = await pool.query<{ id: string }>(
    'select id from organisation where $1::text is null or id = $1 order by created_at limit 2',
    [given ?? null],
  );
  const [only, another] = rows;
  if (only === undefined) throw new CodedError('NOT_FOUND', `organisation ${given ?? '(there is none)'}`);
  if (another !== undefined) throw new CodedError('NOT_FOUND', 'there are several organisations: name one');
  return only.id;
}
