import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { entityId } from '../../shared/keys.ts';
import { type Page, pageClause, positionColumn } from '../page.ts';
import { builtInPermissions } from './operations.ts';

/** A set of operations: built-in, or made by the organisation. */
export interface Permission {
  readonly id: string;
  readonly name: string;
  readonly operations: readonly string[];
  readonly builtIn: boolean;
  readonly archived: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface PermissionRecord {
  readonly id: string;
  readonly name: string;
  readonly operations: string[];
  readonly archived: boolean;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const permissionColumns = 'id, name, operations, archived, created_at, updated_at';
/** They were there from the beginning. */
const builtInDate = new Date(0);

export const builtIn: readonly Permission[] = builtInPermissions.map((one) => ({
  ...one,
  builtIn: true,
  archived: false,
  createdAt: builtInDate,
  updatedAt: builtInDate,
}));

/** @throws NOT_FOUND */
export async function requirePermissionSet(
  database: pg.Pool | pg.ClientBase,
  organisation: string,
  id: string,
): Promise<Permission> {
  const known = builtIn.find((one) => one.id === id);
  if (known !== undefined) return known;
  const { rows } = await database.query<PermissionRecord>(
    `select ${permissionColumns} from permission where id = $1 and organisation = $2`,
    [id, organisation],
  );
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `permission ${id}`);
  return permissionOf(rows[0]);
}

/** The organisation's own; one more than the page's limit when there is another page. */
export async function listOwnPermissions(pool: pg.Pool, organisation: string, page: Page) {
  const { where, values } = pageClause(page, 2);
  const { rows } = await pool.query<PermissionRecord & { position: string }>(
    `select ${permissionColumns}, ${positionColumn()} from permission where organisation = $1 ${where}`,
    [organisation, ...values],
  );
  return rows.map((row) => ({ permission: permissionOf(row), id: row.id, position: row.position }));
}

export async function insertPermission(
  client: pg.ClientBase,
  organisation: string,
  { name, operations }: { readonly name: string; readonly operations: readonly string[] },
): Promise<Permission> {
  const { rows } = await client.query<PermissionRecord>(
    `insert into permission (id, organisation, name, operations) values ($1, $2, $3, $4) returning ${permissionColumns}`,
    [entityId('pm', randomBytes(17)), organisation, name, operations],
  );
  return permissionOf(rows[0] as PermissionRecord);
}

/** Takes effect with the next call of every account that has it. @throws NOT_FOUND, BAD_REQUEST for a built-in one */
export async function updatePermission(
  client: pg.ClientBase,
  organisation: string,
  id: string,
  change: {
    readonly name?: string | undefined;
    readonly operations?: readonly string[] | undefined;
    readonly archived?: boolean | undefined;
  },
): Promise<Permission> {
  if (builtIn.some((one) => one.id === id)) throw new CodedError('BAD_REQUEST', `permission ${id} is built in`);
  const { rows } = await client.query<PermissionRecord>(
    `update permission set name = coalesce($3, name), operations = coalesce($4, operations),
       archived = coalesce($5, archived), updated_at = now()
     where id = $1 and organisation = $2 returning ${permissionColumns}`,
    [id, organisation, change.name ?? null, change.operations ?? null, change.archived ?? null],
  );
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `permission ${id}`);
  return permissionOf(rows[0]);
}

function permissionOf(record: PermissionRecord): Permission {
  return {
    id: record.id,
    name: record.name,
    operations: record.operations,
    builtIn: false,
    archived: record.archived,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
  };
}
