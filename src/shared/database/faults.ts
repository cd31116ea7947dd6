import { CodedError } from '../errors.ts';

/** SQLSTATE classes after which a connection is of no use, and the errors of sockets (design: databases). */
const connectionStates = ['25006', '57P01', '57P02', '57P03', '53300', '3D000', '28000', '28P01'];
const socketCodes = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENOENT',
];
/** A certificate that is not (yet, any more) good: what Node.js calls OpenSSL's verification errors, and its own. */
const tlsCodes =
  /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_CERT_|DEPTH_ZERO_SELF_SIGNED_CERT$|HOSTNAME_MISMATCH$|INVALID_)/;
/** pg reports these without a code. */
const driverTexts = [
  'Connection terminated',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error',
  'Query read timeout',
  'There was an error establishing an SSL connection',
  'The server does not support SSL connections',
];

/** True when the database, not the statement, is the cause. */
export function isUnreachable(thrown: unknown): boolean {
  if (thrown instanceof AggregateError) return thrown.errors.some(isUnreachable);
  if (!(thrown instanceof Error)) return false;
  const code = (thrown as Error & { code?: unknown }).code;
  if (typeof code === 'string') {
    return (
      socketCodes.includes(code) || connectionStates.includes(code) || code.startsWith('08') || tlsCodes.test(code)
    );
  }
  return driverTexts.some((text) => thrown.message.includes(text));
}

/**
 * Of a fault of the database: whether the statement may have been done all the same, because the connection broke or fell
 * silent under it. Not where there was no connection to begin with.
 */
export function mayBeDone(thrown: unknown): boolean {
  if (!isUnreachable(thrown) || thrown instanceof AggregateError) return false;
  const { code, message } = thrown as Error & { code?: unknown };
  if (typeof code === 'string') return ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', '57P01', '57P02'].includes(code);
  return !message.includes('trying to connect') && !message.includes('SSL connection');
}

/** The error to show for a database that cannot be used. */
export function unreachable(database: { host: string; port: number; name: string }, cause: unknown): CodedError {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  const why = first instanceof Error ? first.message : String(first);
  return new CodedError('DATABASE_UNREACHABLE', `${database.name} at ${database.host}:${database.port} (${why})`, {
    cause,
  });
}
