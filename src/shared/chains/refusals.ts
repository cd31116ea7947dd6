import { CodedError } from '../errors.ts';

export function badRequest(why: string): CodedError {
  return new CodedError('BAD_REQUEST', why);
}

/**
 * @param named the chain, e.g. `network Tron`.
 * @param instead what the caller can do.
 */
export function unsupportedKind(kind: string, named: string, instead = 'sign the hash with kind Hash'): CodedError {
  return new CodedError('UNSUPPORTED', `kind ${kind} for ${named}; ${instead}`);
}
