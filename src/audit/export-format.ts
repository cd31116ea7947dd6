import { z } from 'zod';

/**
 * An export of the audit log is a file of lines (docs/audit-log.md):
 *
 *     {"format":"hsm-driver audit export v1","keyStore":"…","exportedAt":"…"}
 *     {"chain":"…"}                the entries of this chain follow, in order
 *     {"sequence":1,…}             an entry exactly as it was hashed
 *     …
 *     {"sha256":"…"}               of all bytes before this line
 */
const header = z.strictObject({
  format: z.literal('hsm-driver audit export v1'),
  keyStore: z.string().min(1),
  exportedAt: z.iso.datetime(),
});
export type ExportHeader = z.infer<typeof header>;

export function headerLine(keyStore: string, at: Date): string {
  return JSON.stringify({ format: 'hsm-driver audit export v1', keyStore, exportedAt: at.toISOString() });
}

export function parseHeader(line: string): ExportHeader | undefined {
  return header.safeParse(parseJson(line)).data;
}

export function chainLine(chain: string): string {
  return `{"chain":"${chain}"}`;
}

/** The chain's id; undefined for any other line. */
export function parseChainLine(line: string): string | undefined {
  return /^\{"chain":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"\}$/.exec(line)?.[1];
}

const base = z.object({
  sequence: z.int().min(1),
  previous: z.string().nullable(),
  kind: z.string(),
});
export type ExportedEntry = z.infer<typeof base> & {
  /** The line; other members are held by the hash alone. */
  readonly json: unknown;
};

export function parseEntry(line: string): ExportedEntry | undefined {
  const json = parseJson(line);
  const result = base.safeParse(json);
  return result.success ? { ...result.data, json } : undefined;
}

const head = z.object({ sequence: z.int().min(1), hash: z.string() });

/** What verification reads of the kinds that it must understand. */
export const understood = {
  opened: z.object({ chain: z.string(), keyStore: z.string() }),
  'head-signed': z.object({ head, signature: z.string() }),
  'head-anchored': z.object({ chain: z.string(), head }),
} as const;

export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
