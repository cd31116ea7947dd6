import type pg from 'pg';
import { CodedError } from '../shared/errors.ts';
import { backupParts, type CheckedBackup } from './check-backup.ts';
import type { Manifest, TableHeader } from './format.ts';
import { type BackupTable, backupTables, quoted } from './tables.ts';

type Queries = Pick<pg.ClientBase, 'query'>;

/** Rows of one insert, and bytes beyond which it does not wait for more. */
const batchRows = 1_000;
const batchBytes = 1_000_000;

/**
 * Whether a backup may go into this database: made by the same or an older schema, of the same key store, and into tables
 * without a single row.
 * @throws RESTORE_REFUSED
 */
export async function refuseRestore(client: Queries, manifest: Manifest, keyStore: string): Promise<void> {
  const refuse = (why: string): never => {
    throw new CodedError('RESTORE_REFUSED', why);
  };
  if (manifest.keyStore !== keyStore)
    refuse(`the backup is of key store ${manifest.keyStore}, the configuration of ${keyStore}`);
  const schema = await client.query<{ version: number }>('select max(version) as version from schema_migration');
  const version = schema.rows[0]?.version ?? 0;
  if (manifest.schemaVersion > version)
    refuse(
      `the backup has schema version ${manifest.schemaVersion}, this program’s is ${version}: use program version ${manifest.version} or newer`,
    );
  const tables = await backupTables(client);
  const unknown = manifest.tables.find(({ name, rows }) => rows > 0 && !tables.some((table) => table.name === name));
  if (unknown !== undefined) refuse(`this version has no table ${unknown.name}`);
  await refuseRows(client, tables);
}

/** @throws RESTORE_REFUSED */
async function refuseRows(client: Queries, tables: readonly BackupTable[]): Promise<void> {
  for (const { name } of tables) {
    const { rows } = await client.query(`select 1 from "${name}" limit 1`);
    if (rows.length === 0) continue;
    const why = `the database is not empty: table ${name} has rows. Name an empty database and migrate it`;
    throw new CodedError('RESTORE_REFUSED', why);
  }
}

/**
 * Puts all rows back, in the caller's transaction: what throws leaves nothing behind.
 * @param client as the owner of the schema.
 * @throws BACKUP_ALTERED when the file is not the one that was checked; RESTORE_REFUSED
 */
export async function restoreRows(
  client: pg.ClientBase,
  file: string,
  { fileSha256 }: CheckedBackup,
  onProgress: (rows: number) => void,
): Promise<void> {
  await client.query('set local statement_timeout = 0');
  // Another restore, or a node, that came between: it waits here, or is seen here. The order's own row is there already.
  await client.query('lock table wrapped_key, journal in exclusive mode');
  await refuseRows(
    client,
    (await backupTables(client)).filter(({ name }) => name !== 'used_order'),
  );
  const insert = createInserter(client);
  const parts = backupParts(file);
  let rows = 0;
  for (;;) {
    const next = await parts.next();
    if (next.done === true) {
      await insert.flush();
      // What was checked, and what the operators ordered, are these very bytes.
      if (next.value.fileSha256 !== fileSha256)
        throw new CodedError('BACKUP_ALTERED', `${file} was changed while it was read`);
      break;
    }
    const { value } = next;
    if (value.part === 'table') await insert.table(value.table);
    if (value.part !== 'row') continue;
    await insert.row(value.line);
    onProgress(++rows);
  }
  await advanceIdentities(client);
}

function createInserter(client: pg.ClientBase) {
  let statement = '';
  let waiting: string[] = [];
  let bytes = 0;

  async function flush(): Promise<void> {
    if (waiting.length === 0) return;
    const lines = waiting.join('\n');
    waiting = [];
    bytes = 0;
    await client.query(statement, [lines]);
  }

  return {
    flush,
    async table({ table, columns }: TableHeader): Promise<void> {
      await flush();
      // A column that the backup does not know gets its default.
      statement = `insert into "${table}" (${quoted(columns)}) overriding system value
        select ${quoted(columns)} from unnest(string_to_array($1::text, E'\\n')) as line,
          lateral json_populate_record(null::"${table}", line::json)`;
    },
    async row(line: string): Promise<void> {
      waiting.push(line);
      bytes += line.length;
      if (waiting.length >= batchRows || bytes >= batchBytes) await flush();
    },
  };
}

/** Numbers that the database gives itself go on behind those that were restored. */
async function advanceIdentities(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ table: string; column: string }>(
    `select table_name as "table", column_name as "column" from information_schema.columns
     where table_schema = current_schema() and is_identity = 'YES'`,
  );
  for (const { table, column } of rows)
    await client.query(
      `select setval(pg_get_serial_sequence('"${table}"', '${column}'), (select max("${column}") from "${table}"))
       from "${table}" having count(*) > 0`,
    );
}
