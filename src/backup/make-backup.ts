import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { entryHash } from '../shared/audit/entry.ts';
import { readCeremonyFile } from '../shared/ceremony-file.ts';
import { type Checksums, createChecksummedFile } from '../shared/checksummed-file.ts';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import { readInBatches } from '../shared/database/read-in-batches.ts';
import { inTransaction } from '../shared/database/transaction.ts';
import { version } from '../shared/version.ts';
import type { Manifest } from './format.ts';
import { type BackupTable, backupTables, quoted } from './tables.ts';

export interface MadeBackup extends Checksums {
  readonly manifest: Manifest;
}

/**
 * Writes the driver database as it stands at one moment, in flat memory, while nodes go on working.
 * @param onProgress rows written, and of how many.
 * @throws OUTPUT_FILE_NOT_WRITTEN, CONFIG_INVALID for a ceremony file
 */
export async function makeBackup(
  pool: pg.Pool,
  configuration: Pick<DriverConfiguration, 'keyStore' | 'ceremonyFile' | 'furtherCeremonyFiles'>,
  file: string,
  onProgress: (rows: number, of: number) => void,
): Promise<MadeBackup> {
  const output = createChecksummedFile(file);
  try {
    return await inTransaction(pool, async (client) => {
      await client.query('set transaction isolation level repeatable read, read only');
      // Counting ten million rows takes its time.
      await client.query('set local statement_timeout = 0');
      const tables = await backupTables(client);
      const manifest = await describe(client, configuration, tables);
      const total = manifest.tables.reduce((sum, { rows }) => sum + rows, 0);
      let written = 0;
      output.write(JSON.stringify(manifest));
      for (const { name: table, columns } of tables) {
        output.write(JSON.stringify({ table, columns }));
        const query = `select row_to_json(it)::text as line from (select ${quoted(columns)} from "${table}") as it`;
        for await (const rows of readInBatches<{ line: string }>(client, 'backup', query)) {
          for (const { line } of rows) output.write(line);
          written += rows.length;
          onProgress(written, total);
        }
      }
      return { manifest, ...output.finish() };
    });
  } finally {
    output.abandon();
  }
}

async function describe(
  client: pg.ClientBase,
  { keyStore, ceremonyFile, furtherCeremonyFiles }: Parameters<typeof makeBackup>[1],
  tables: readonly BackupTable[],
): Promise<Manifest> {
  const counted: Manifest['tables'] = [];
  for (const { name } of tables) {
    const { rows } = await client.query<{ rows: string }>(`select count(*) as rows from "${name}"`);
    counted.push({ name, rows: Number(rows[0]?.rows) });
  }
  const masterKeys = await client.query<{ id: string; keys: string }>(
    'select master_key_id as id, count(*) as keys from wrapped_key group by 1 order by 1',
  );
  const schema = await client.query<{ version: number }>('select max(version) as version from schema_migration');
  return {
    format: 'hsm-driver backup v1',
    backup: randomUUID(),
    keyStore,
    madeAt: new Date().toISOString(),
    version: version(),
    schemaVersion: schema.rows[0]?.version ?? 0,
    tables: counted,
    masterKeys: masterKeys.rows.map(({ id, keys }) => ({ id, keys: Number(keys) })),
    ceremonyFiles: [ceremonyFile, ...furtherCeremonyFiles].map((path) => ({
      masterKeyId: readCeremonyFile(path).masterKey.id,
      sha256: createHash('sha256').update(readFileSync(path)).digest('hex'),
    })),
    heads: await chainHeads(client),
  };
}

async function chainHeads(client: pg.ClientBase): Promise<Manifest['heads']> {
  const { rows } = await client.query<{ chain: string; sequence: string; entry: string }>(
    `select beginning.chain, newest.sequence, newest.entry from audit_entry as beginning
     cross join lateral (
       select sequence, entry from audit_entry where chain = beginning.chain order by sequence desc limit 1
     ) as newest where beginning.sequence = 1 order by beginning.chain`,
  );
  return rows.map(({ chain, sequence, entry }) => ({ chain, sequence: Number(sequence), hash: entryHash(entry) }));
}
