import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ceremonyToken } from '../../shared/ceremony-file.ts';
import { createDurably } from '../../shared/durable-file.ts';
import { CodedError } from '../../shared/errors.ts';
import { wrapAlgorithms } from '../../shared/wrap-algorithms.ts';
import { oaepHashes } from '../../worker/hsm/delivery/transport.ts';

/**
 * What the machines of a ceremony hand each other in a folder (a stick, a share), one file of each kind for each token:
 *
 *   NAME.request.json    target → origin   the token's transport key, and what the token can do
 *   NAME.delivery.json   origin → target   both keys, wrapped for that transport key, and the protocol file
 *   NAME.receipt.json    target → origin   what the token shows with the keys on it
 *
 * None of them is a secret: what is wrapped opens with a private key that lives in the target token's session only. None of
 * them is believed either: people compare the SHA-256 of each on both machines.
 */

const hex = z.string().regex(/^([0-9a-f]{2})+$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const wrapMethod = z.strictObject({ algorithm: z.enum(wrapAlgorithms), mechanism: z.int().min(1) });

const request = z.strictObject({
  version: z.literal(1),
  file: z.literal('ceremony request'),
  keyStore: z.string(),
  token: z.strictObject({
    name: z.string(),
    label: z.string(),
    serial: z.string(),
    manufacturer: z.string(),
    model: z.string(),
  }),
  transportKey: z.strictObject({
    modulus: hex,
    publicExponent: hex,
    /** As the target read it on its token. */
    sha256,
    hashes: z.array(z.enum(oaepHashes)).min(1),
  }),
  wrapMethods: z.array(wrapMethod),
});
export type Request = z.infer<typeof request>;

const delivery = z.strictObject({
  version: z.literal(1),
  file: z.literal('ceremony delivery'),
  serial: z.string(),
  transportKeySha256: sha256,
  hash: z.enum(oaepHashes),
  /** In the order of the keys: master key, integrity key. */
  blobs: z.array(z.base64()).length(2),
  wrapMethod,
  /** The protocol file, byte by byte, as it is after this delivery: its last step. */
  protocol: z.string(),
});
export type DeliveryFile = z.infer<typeof delivery>;

const receipt = z.strictObject({
  version: z.literal(1),
  file: z.literal('ceremony receipt'),
  keyStore: z.string(),
  masterKeyId: z.string(),
  token: ceremonyToken.omit({ checkedAt: true, retiredAt: true }).extend({ role: z.literal('signing') }),
  at: z.iso.datetime(),
  attended: z.boolean(),
  people: z.array(z.string()),
  record: z.array(z.string()),
});
export type Receipt = z.infer<typeof receipt>;

const schemas = { request, delivery, receipt } as const;
export type ExchangeKind = keyof typeof schemas;
type Content<Kind extends ExchangeKind> = z.infer<(typeof schemas)[Kind]>;

export interface ExchangeFile<Kind extends ExchangeKind> {
  readonly content: Content<Kind>;
  /** Of the file, hex. */
  readonly sha256: string;
}

export function exchangePath(folder: string, token: string, kind: ExchangeKind): string {
  return join(folder, `${token}.${kind}.json`);
}

/** An earlier attempt's files must not be taken for this one's. @throws CEREMONY_REFUSED */
export function refuseLeftOver(folder: string, token: string, kinds: readonly ExchangeKind[]): void {
  for (const file of kinds.map((kind) => exchangePath(folder, token, kind))) {
    if (existsSync(file))
      throw new CodedError('CEREMONY_REFUSED', `${file} is there already, of an earlier attempt: take it away first`);
  }
}

/** Never over another file. @returns the file and its SHA-256. @throws CEREMONY_REFUSED */
export function writeExchange<Kind extends ExchangeKind>(
  folder: string,
  token: string,
  kind: Kind,
  content: Content<Kind>,
): { readonly file: string; readonly sha256: string } {
  const file = exchangePath(folder, token, kind);
  const text = `${JSON.stringify(schemas[kind].parse(content), null, 2)}\n`;
  try {
    createDurably(file, text, 0o644);
  } catch (cause) {
    throw new CodedError('CEREMONY_REFUSED', `${file} cannot be written (${code(cause)})`, { cause });
  }
  return { file, sha256: sha256Of(text) };
}

/** @throws CEREMONY_REFUSED when it is not there, cut short, or of another kind */
export function readExchange<Kind extends ExchangeKind>(folder: string, token: string, kind: Kind): ExchangeFile<Kind> {
  const file = exchangePath(folder, token, kind);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('CEREMONY_REFUSED', `${file} cannot be read (${code(cause)})`, { cause });
  }
  const json = parsed(text);
  if (json === undefined) throw new CodedError('CEREMONY_REFUSED', `${file} is not whole`);
  const result = schemas[kind].safeParse(json);
  if (result.success) return { content: result.data as Content<Kind>, sha256: sha256Of(text) };
  const found = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new CodedError('CEREMONY_REFUSED', `${file} is no ${kind} (${found.join('; ')})`);
}

/** There, and not still being copied. */
export function isThere(folder: string, token: string, kind: ExchangeKind): boolean {
  const file = exchangePath(folder, token, kind);
  try {
    return parsed(readFileSync(file, 'utf8')) !== undefined;
  } catch {
    return false;
  }
}

export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function code(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown';
}
