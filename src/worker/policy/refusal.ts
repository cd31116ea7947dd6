import type { ErrorCode } from '../../shared/errors.ts';

/** Why a request is not carried out, although the HSM could. Final: another node would decide the same. */
export interface Refusal {
  readonly refused: ErrorCode;
  readonly detail: string;
}

/** Not carried out here, and nothing said of the request: this node cannot judge it now, another one can. */
export interface Doubt {
  readonly doubted: string;
}

export function refusal(code: ErrorCode, detail: string): Refusal {
  return { refused: code, detail };
}

/** For unions of an answer and a refusal. */
export function isRefusal(value: object): value is Refusal {
  return 'refused' in value;
}
