import { z } from 'zod';

/**
 * A backup of the driver database is a file of lines (docs/backup.md), its last one the SHA-256 of all before it:
 *
 *     {"format":"hsm-driver backup v1",…}              the manifest
 *     {"table":"wrapped_key","columns":["key_id",…]}   the rows of this table follow
 *     {"key_id":"…",…}                                 a row, as PostgreSQL's row_to_json writes it
 *     …
 *     {"sha256":"…"}
 *
 * It holds no secret beyond wrapped keys, which open only in an HSM with their master key.
 */
export const manifestSchema = z.object({
  format: z.literal('hsm-driver backup v1'),
  /** Names the backup, e.g. in the operators' order to restore it. */
  backup: z.uuid(),
  keyStore: z.string().min(1),
  madeAt: z.iso.datetime(),
  /** Of the program that made it. */
  version: z.string(),
  schemaVersion: z.int().min(1),
  /** Rows of each table, in the order of the file. */
  tables: z.array(z.object({ name: z.string().regex(/^[a-z_]+$/), rows: z.int().min(0) })),
  /** Keys by the master key that wraps them: whoever restores needs HSMs that hold each of these. */
  masterKeys: z.array(z.object({ id: z.string(), keys: z.int().min(1) })),
  /** SHA-256 of each ceremony file of the configuration, hex: which ones belong to this backup. */
  ceremonyFiles: z.array(z.object({ masterKeyId: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
  /** Where the audit chains stood. */
  heads: z.array(z.object({ chain: z.uuid(), sequence: z.int().min(1), hash: z.string() })),
});
export type Manifest = z.infer<typeof manifestSchema>;

const tableHeader = z.strictObject({
  table: z.string().regex(/^[a-z_]+$/),
  columns: z.array(z.string().regex(/^[a-z_0-9]+$/)).min(1),
});
export type TableHeader = z.infer<typeof tableHeader>;

/** Undefined for a row. */
export function parseTableHeader(line: string): TableHeader | undefined {
  if (!line.startsWith('{"table":')) return undefined;
  return tableHeader.safeParse(JSON.parse(line)).data;
}

export function countOf({ tables }: Manifest, table: string): number {
  return tables.find(({ name }) => name === table)?.rows ?? 0;
}
