import { randomUUID } from 'node:crypto';
import { isUnreachable } from '../../shared/database/faults.ts';
import { asCodedError, CodedError, catalogueEntry, type ErrorCode } from '../../shared/errors.ts';

/** The one shape of every answer that is not a success (Dfns API, "error codes"). */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly error: {
      /** New for every answer; the log line of a 5xx carries it. */
      readonly id: string;
      readonly status: number;
      readonly message: string;
      readonly details: Readonly<Record<string, unknown>>;
    };
    /** The same message where other SDKs look for it. */
    readonly message: string;
  };
}

/** An error that tells the application more than its sentence. */
export class DetailedError extends CodedError {
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, detail: string, details: Readonly<Record<string, unknown>>) {
    super(code, detail);
    this.details = details;
  }
}

/** Seconds after which a caller may try again. */
const retryAfter: Partial<Record<ErrorCode, number>> = {
  NO_SIGNER_READY: 5,
  KEY_RESTS: 60,
  DATABASE_UNREACHABLE: 5,
  API_STOPPING: 1,
  TOO_MANY_OPEN_REQUESTS: 1,
  // After a second there is a call to be had: rates are at least one a second.
  RATE_LIMITED: 1,
};

/** Their detail names hosts, rows or causes: for the log only. */
const silent: readonly ErrorCode[] = ['INTERNAL', 'DATABASE_UNREACHABLE'];

/** Their detail is the sentence of the Dfns API, whole. */
const wholeSentence: readonly ErrorCode[] = ['NOT_PERMITTED'];

/** Anything thrown while a request is answered, as an error of the catalogue. */
export function requestError(thrown: unknown): CodedError {
  if (thrown instanceof CodedError) return thrown;
  if (isUnreachable(thrown)) return new CodedError('DATABASE_UNREACHABLE', String(thrown), { cause: thrown });
  // The framework's own refusals of what came in.
  const { statusCode, message } = thrown as { statusCode?: unknown; message?: unknown };
  if (statusCode === 413) return new CodedError('TOO_LARGE', '', { cause: thrown });
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new CodedError('BAD_REQUEST', String(message), { cause: thrown });
  }
  return asCodedError(thrown);
}

export function errorAnswer(error: CodedError): ErrorAnswer {
  const entry = catalogueEntry(error.code);
  const shown = entry.status === undefined ? 'INTERNAL' : error.code;
  const { what, status = 500 } = catalogueEntry(shown);
  const message = messageOf(shown, what, error.detail);
  const details = { code: shown, ...(error instanceof DetailedError ? error.details : {}) };
  const seconds = retryAfter[shown];
  return {
    status,
    headers: seconds === undefined ? {} : { 'retry-after': String(seconds) },
    body: { error: { id: randomUUID(), status, message, details }, message },
  };
}

function messageOf(code: ErrorCode, what: string, detail: string): string {
  if (detail === '' || silent.includes(code)) return what;
  return wholeSentence.includes(code) ? detail : `${what.replace(/\.$/, '')}: ${detail}`;
}
