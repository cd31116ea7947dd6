import type { Checksums } from '../shared/checksummed-file.ts';
import { CodedError } from '../shared/errors.ts';
import { readChecksummed } from '../shared/read-checksummed.ts';
import { type Manifest, manifestSchema, parseTableHeader, type TableHeader } from './format.ts';

/** Whole, which says nothing of who made it: that is what the operators' order for its `fileSha256` is for. */
export interface CheckedBackup extends Checksums {
  readonly manifest: Manifest;
}

/** The lines of a backup as they are used; the manifest came first. */
export type BackupPart =
  | { readonly part: 'manifest'; readonly manifest: Manifest }
  | { readonly part: 'table'; readonly table: TableHeader }
  | { readonly part: 'row'; readonly line: string };

/**
 * Reads a backup once from its beginning to its end, in flat memory, and throws at the end when it was not as it was made:
 * what was done with its parts must be undone then.
 * @throws BACKUP_ALTERED, INPUT_FILE_UNREADABLE
 */
export async function* backupParts(file: string): AsyncGenerator<BackupPart, CheckedBackup> {
  const altered = (why: string): CodedError => new CodedError('BACKUP_ALTERED', `${file}: ${why}`);
  const { lines, end } = readChecksummed(file);
  let manifest: Manifest | undefined;
  const rows = new Map<string, number>();
  let table: string | undefined;
  for await (const bytes of lines) {
    const line = bytes.toString('utf8');
    if (manifest === undefined) {
      manifest = parseManifest(line);
      if (manifest === undefined) throw altered('it does not begin with the manifest of a backup');
      yield { part: 'manifest', manifest };
      continue;
    }
    const header = tryParseHeader(line);
    if (header === undefined) {
      if (table === undefined) throw altered('there are rows of no table');
      rows.set(table, (rows.get(table) ?? 0) + 1);
      yield { part: 'row', line };
    } else {
      table = header.table;
      refuseTable(table, manifest, rows);
      rows.set(table, 0);
      yield { part: 'table', table: header };
    }
  }
  const fate = end();
  if ('fault' in fate) throw altered(fate.fault);
  if (manifest === undefined) throw altered('there is no manifest');
  const wrong = manifest.tables.find(({ name, rows: wanted }) => rows.get(name) !== wanted);
  if (wrong !== undefined)
    throw altered(`it has ${rows.get(wrong.name) ?? 'no'} rows of ${wrong.name}, its manifest says ${wrong.rows}`);
  return { manifest, ...fate };

  function refuseTable(table: string, manifest: Manifest, seen: ReadonlyMap<string, number>): void {
    if (!manifest.tables.some(({ name }) => name === table)) throw altered(`its manifest lists no table ${table}`);
    // Its rows would be counted from the beginning again, and any number of them could come before.
    if (seen.has(table)) throw altered(`table ${table} comes twice`);
  }
}

/**
 * Whether a backup is as it was made, before anything is done with it.
 * @throws BACKUP_ALTERED, INPUT_FILE_UNREADABLE
 */
export async function checkBackup(
  file: string,
  onProgress: (rows: number, of: number) => void,
): Promise<CheckedBackup> {
  const parts = backupParts(file);
  let rows = 0;
  let total = 0;
  for (;;) {
    const next = await parts.next();
    if (next.done === true) return next.value;
    const { value } = next;
    if (value.part === 'manifest') total = value.manifest.tables.reduce((sum, one) => sum + one.rows, 0);
    if (value.part === 'row') onProgress(++rows, total);
  }
}

function parseManifest(line: string): Manifest | undefined {
  try {
    return manifestSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function tryParseHeader(line: string): TableHeader | undefined {
  try {
    return parseTableHeader(line);
  } catch {
    return undefined;
  }
}
