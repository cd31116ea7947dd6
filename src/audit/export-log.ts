import type pg from 'pg';
import { createChecksummedFile } from '../shared/checksummed-file.ts';
import { readInBatches } from '../shared/database/read-in-batches.ts';
import { inTransaction } from '../shared/database/transaction.ts';
import { chainLine, headerLine } from './export-format.ts';

export interface Exported {
  readonly chains: number;
  readonly entries: number;
  readonly checksum: string;
}

/**
 * Writes all chains as they stand at one moment, each in order, in flat memory.
 * @param onProgress entries written so far.
 * @throws OUTPUT_FILE_NOT_WRITTEN
 */
export async function exportAuditLog(
  pool: pg.Pool,
  keyStore: string,
  file: string,
  onProgress: (entries: number) => void,
): Promise<Exported> {
  const output = createChecksummedFile(file);
  try {
    return await inTransaction(pool, async (client) => {
      await client.query('set transaction isolation level repeatable read, read only');
      output.write(headerLine(keyStore, new Date()));
      let chains = 0;
      let entries = 0;
      let current: string | undefined;
      const query = 'select chain, entry from audit_entry order by chain, sequence';
      for await (const rows of readInBatches<{ chain: string; entry: string }>(client, 'audit', query)) {
        for (const { chain, entry } of rows) {
          if (chain !== current) {
            current = chain;
            chains += 1;
            output.write(chainLine(chain));
          }
          output.write(entry);
        }
        entries += rows.length;
        onProgress(entries);
      }
      return { chains, entries, checksum: output.finish().checksum };
    });
  } finally {
    output.abandon();
  }
}
