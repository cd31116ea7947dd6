import { type CatalogueEntry, catalogue } from './error-catalogue.ts';

export type ErrorCode = keyof typeof catalogue;

/** What a catalogue entry may hold, seen without the entry's literal type. */
export function catalogueEntry(code: ErrorCode): CatalogueEntry {
  return catalogue[code];
}

/**
 * An error of the catalogue. `detail` names the thing (a file, a token, a key id), never a secret: it reaches logs and
 * answers. The message reads "what: detail. Remedy".
 */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    const { what, remedy } = catalogueEntry(code);
    super(`${what}: ${detail}. ${remedy}.`, options);
    this.code = code;
    this.detail = detail;
  }
}

/** Any thrown value as an Error; foreign errors are kept as the cause of INTERNAL. */
export function asCodedError(thrown: unknown): CodedError {
  if (thrown instanceof CodedError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new CodedError('INTERNAL', text, { cause: thrown });
}
