import type { ErrorCode } from '../../shared/errors.ts';

/** Why a request is not carried out, although the HSM could. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
  /** Another node may decide otherwise: its clock is right, or it knows a newer list. */
  readonly retryable: boolean;
}

export function refusal(code: ErrorCode, detail: string, retryable = false): Refusal {
  return { code, detail, retryable };
}

/** For unions of an answer and a refusal. */
export function isRefusal(value: object): value is Refusal {
  return 'retryable' in value;
}
