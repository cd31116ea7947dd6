import { CodedError, type ErrorCode } from '../../shared/errors.ts';
import type { CkrClass } from './ckr.ts';
import { Pkcs11Fault } from './fault.ts';
import type { HsmFailure, HsmResult } from './jobs.ts';

/**
 * From what was thrown to what the worker does about it: the one place where an error's class becomes a verdict on the
 * device.
 */

export const succeeded = <Value>(value: Value): HsmResult<Value> => ({ ok: true, value });

/** An error of one item, as the answer to it. */
export function failureOf(thrown: unknown): HsmFailure {
  const error = codedError(thrown);
  return { ok: false, code: error.code, message: error.message, ...verdict(error.code, thrown) };
}

/** The same for a whole step (opening, proving), where the process ends with the error. */
export function codedError(thrown: unknown): CodedError {
  if (thrown instanceof CodedError) return thrown;
  if (thrown instanceof Pkcs11Fault)
    return new CodedError(codeOfClass(thrown.ckr.class), thrown.message, { cause: thrown });
  // A RangeError of the encodings: the token answered something that is no key and no signature.
  if (thrown instanceof RangeError) return new CodedError('HSM_DEVICE_FAULT', thrown.message, { cause: thrown });
  return new CodedError('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** A new session and login may mend it: once. A lost master key handle may only need to be looked up again. */
export function isWornOut(thrown: unknown): boolean {
  return thrown instanceof Pkcs11Fault && (thrown.ckr.class === 'session' || thrown.ckr.class === 'master-key-missing');
}

/** C_UnwrapKey answered what it answers for a damaged blob, though perhaps for another reason. */
export function mayBlameBlob(thrown: unknown): boolean {
  return thrown instanceof Pkcs11Fault && (thrown.ckr.class === 'request' || thrown.ckr.ambiguous === true);
}

function codeOfClass(ckrClass: CkrClass): ErrorCode {
  switch (ckrClass) {
    case 'request':
      return 'HSM_REQUEST_REFUSED';
    case 'back-pressure':
      return 'HSM_BACK_PRESSURE';
    case 'session':
    case 'device':
      return 'HSM_DEVICE_FAULT';
    case 'pin':
      return 'PIN_REFUSED';
    case 'master-key-missing':
      return 'MASTER_KEY_MISSING';
    default:
      return ckrClass satisfies never;
  }
}

type Verdict = Pick<HsmFailure, 'device' | 'retryable' | 'elsewhere'>;

function verdict(code: ErrorCode, thrown: unknown): Verdict {
  switch (code) {
    case 'KEY_UNUSABLE':
      // What the HSM said of the blob another HSM may contradict; what is wrong with the row is wrong everywhere.
      return {
        device: 'healthy',
        retryable: false,
        ...((thrown as Error).cause instanceof Pkcs11Fault ? { elsewhere: true } : {}),
      };
    case 'DIGEST_INVALID':
    case 'HSM_REQUEST_REFUSED':
      return { device: 'healthy', retryable: false };
    case 'HSM_BACK_PRESSURE':
    case 'CURVE_NOT_SUPPORTED':
    case 'KEY_NOT_ON_SLOT':
      return { device: 'healthy', retryable: true };
    case 'PIN_REFUSED':
    case 'PIN_NOT_TRIED':
    case 'MASTER_KEY_MISSING':
    case 'MASTER_KEY_OTHER':
    case 'TOKEN_NOT_FOUND':
    case 'TOKEN_AMBIGUOUS':
      return { device: 'lost', retryable: true };
    case 'HSM_DEVICE_FAULT':
      return {
        device: thrown instanceof Pkcs11Fault && thrown.ckr.gone === true ? 'lost' : 'suspect',
        retryable: true,
      };
    default:
      // SIGNATURE_INVALID and whatever nobody foresaw: a probe decides.
      return { device: 'suspect', retryable: true };
  }
}
