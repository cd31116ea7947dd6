import { CKR, type CkrEntry, ckr } from './ckr.ts';

/**
 * A PKCS#11 function that did not answer CKR_OK: which function, which code. The only error that leaves module.ts for a
 * call on the HSM; what it means is decided by class (ckr.ts), never by its text.
 */
export class Pkcs11Fault extends Error {
  override readonly name = 'Pkcs11Fault';
  readonly pkcs11Function: string;
  readonly code: number;
  readonly ckr: CkrEntry;

  constructor(pkcs11Function: string, code: number, options?: { cause?: unknown }) {
    const entry = ckr(code, pkcs11Function);
    super(`${pkcs11Function} answered ${entry.name} (0x${code.toString(16)})`, options);
    this.pkcs11Function = pkcs11Function;
    this.code = code;
    this.ckr = entry;
  }
}

/**
 * What the binding threw, as a fault. It throws in four ways (pkcs11js 2.1.7): its own error with a number in `code`;
 * plain errors that only say "CKR_ATTRIBUTE_READ_ONLY:16" (C_FindObjects, C_CreateObject, C_SetAttributeValue); a
 * TypeError for an argument of the wrong kind; "PKCS11 module not loaded yet". The name in the text is not used: codes
 * it does not know are all called CKR_VENDOR_DEFINED.
 */
export function asFault(pkcs11Function: string, thrown: unknown): Pkcs11Fault {
  return new Pkcs11Fault(pkcs11Function, codeOf(thrown), { cause: thrown });
}

function codeOf(thrown: unknown): number {
  if (!(thrown instanceof Error)) return CKR.GENERAL_ERROR;
  const { code } = thrown as { code?: unknown };
  if (typeof code === 'number' && code > 0) return code;
  const inText = /CKR_\w+:(\d+)/.exec(thrown.message)?.[1];
  if (inText !== undefined) return Number(inText);
  if (thrown instanceof TypeError) return CKR.ARGUMENTS_BAD;
  if (/not loaded/.test(thrown.message)) return CKR.CRYPTOKI_NOT_INITIALIZED;
  return CKR.GENERAL_ERROR;
}
