import type pg from 'pg';

/** What runs now, and what a fresh database has of its own: no part of a backup. */
const left = [
  ...['schema_migration', 'node', 'leader', 'turn', 'pin_attempt'],
  ...['job_report', 'key_audit', 'test_key', 'test_key_opening'],
];
/** Others refer to these; and keys come before the rule that refuses retired ones. */
const first = ['wrapped_key', 'rotation'];

export interface BackupTable {
  readonly name: string;
  readonly columns: readonly string[];
}

/** Every table of the driver's schema but those that are left out: one that a later version adds is in by itself. */
export async function backupTables(client: Pick<pg.ClientBase, 'query'>): Promise<BackupTable[]> {
  const { rows } = await client.query<{ name: string; columns: string[] }>(
    `select c.table_name as name, array_agg(c.column_name::text order by c.ordinal_position) as columns
     from information_schema.columns c
     join pg_tables t on t.schemaname = c.table_schema and t.tablename = c.table_name
     where c.table_schema = current_schema() and c.table_name <> all ($1::text[])
     group by c.table_name order by array_position($2::text[], c.table_name::text), c.table_name`,
    [left, first],
  );
  return rows;
}

export function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
