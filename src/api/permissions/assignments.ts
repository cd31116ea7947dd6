import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { entityId } from '../../shared/keys.ts';
import { type Page, pageClause, positionColumn } from '../page.ts';

/** That a service account has a permission. */
export interface PermissionAssignment {
  readonly id: string;
  readonly permission: string;
  readonly serviceAccount: string;
  readonly createdAt: Date;
}

interface AssignmentRecord {
  readonly id: string;
  readonly permission: string;
  readonly service_account: string;
  readonly created_at: Date;
}

const assignmentColumns = 'assignment.id, assignment.permission, assignment.service_account, assignment.created_at';

/** Once: an account that has the permission keeps the assignment it has. */
export async function insertAssignment(
  client: pg.ClientBase,
  permission: string,
  serviceAccount: string,
): Promise<PermissionAssignment> {
  await client.query(
    `insert into permission_assignment (id, permission, service_account) values ($1, $2, $3)
     on conflict (service_account, permission) do nothing`,
    [entityId('as', randomBytes(17)), permission, serviceAccount],
  );
  const { rows } = await client.query<AssignmentRecord>(
    `select ${assignmentColumns} from permission_assignment assignment where permission = $1 and service_account = $2`,
    [permission, serviceAccount],
  );
  return assignmentOf(rows[0] as AssignmentRecord);
}

/** @throws NOT_FOUND */
export async function deleteAssignment(
  client: pg.ClientBase,
  organisation: string,
  permission: string,
  id: string,
): Promise<void> {
  const { rowCount } = await client.query(
    `delete from permission_assignment assignment using service_account account
     where assignment.id = $1 and assignment.permission = $2 and account.id = assignment.service_account
       and account.organisation = $3`,
    [id, permission, organisation],
  );
  if (rowCount !== 1) throw new CodedError('NOT_FOUND', `assignment ${id}`);
}

/** In this organisation; one more than the page's limit when there is another page. */
export async function listAssignments(pool: pg.Pool, organisation: string, permission: string, page: Page) {
  const { where, values } = pageClause(page, 3, 'assignment.created_at', 'assignment.id');
  const { rows } = await pool.query<AssignmentRecord & { position: string }>(
    `select ${assignmentColumns}, ${positionColumn('assignment.created_at')}
     from permission_assignment assignment join service_account account on account.id = assignment.service_account
     where assignment.permission = $1 and account.organisation = $2 ${where}`,
    [permission, organisation, ...values],
  );
  return rows.map((row) => ({ assignment: assignmentOf(row), id: row.id, position: row.position }));
}

function assignmentOf(record: AssignmentRecord): PermissionAssignment {
  return {
    id: record.id,
    permission: record.permission,
    serviceAccount: record.service_account,
    createdAt: record.created_at,
  };
}
