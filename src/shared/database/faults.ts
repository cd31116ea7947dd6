import { CodedError } from '../errors.ts';

/** SQLSTATE classes after which a connection is of no use, and the errors of sockets (design: databases). */
const connectionStates = ['25006', '57P01', '57P02', '57P03', '53300', '3D000', '28000', '28P01'];
const socketCodes = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENOENT',
];
/** pg reports these without a code. */
const driverTexts = [
  'Connection terminated',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error',
  'Query read timeout',
];

/** True when the database, not the statement, is the cause. */
export function isUnreachable(thrown: unknown): boolean {
  if (thrown instanceof AggregateError) return thrown.errors.some(isUnreachable);
  if (!(thrown instanceof Error)) return false;
  const code = (thrown as Error & { code?: unknown }).code;
  if (typeof code === 'string') {
    return socketCodes.includes(code) || connectionStates.includes(code) || code.startsWith('08');
  }
  return driverTexts.some((text) => thrown.message.includes(text));
}

/** True when two transactions waited for each other and PostgreSQL ended this one: nothing of it was done (SQLSTATE 40P01). */
export function isDeadlock(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as Error & { code?: unknown }).code === '40P01';
}

/** The error to show for a database that cannot be used. */
export function unreachable(database: { host: string; port: number; name: string }, cause: unknown): CodedError {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  const why = first instanceof Error ? first.message : String(first);
  return new CodedError('DATABASE_UNREACHABLE', `${database.name} at ${database.host}:${database.port} (${why})`, {
    cause,
  });
}
