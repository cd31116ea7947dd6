import type { Signature } from '../driver-protocol.ts';

/** A signature as applications get it: 0x and 64 lower-case hex digits each (contract of the Dfns API, section 6). */
export interface AnswerSignature {
  readonly r: string;
  /** ECDSA: low. EdDSA: the second half of the signature, its bytes not reversed. */
  readonly s: string;
  /** 0 or 1 for secp256k1: parity of R's y, after s was made low. */
  readonly recid?: 0 | 1;
  /** The whole signature as the chain writes it, where the request named a chain. */
  readonly encoded?: string;
}

/** The answer to one signature request. */
export interface JoinedSignatures {
  readonly signature: AnswerSignature;
  /** Only where there are several, e.g. one per input of a transaction. */
  readonly signatures?: readonly AnswerSignature[];
  /** The signed transaction, 0x hex. */
  readonly signedData?: string;
}

export function answerSignature(signature: Signature, encoded?: string): AnswerSignature {
  return {
    r: `0x${signature.rs.slice(0, 64)}`,
    s: `0x${signature.rs.slice(64)}`,
    ...(signature.recid === undefined ? {} : { recid: signature.recid }),
    ...(encoded === undefined ? {} : { encoded }),
  };
}
