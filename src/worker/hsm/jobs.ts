import type { Signature } from '../../shared/driver-protocol.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import type { KeyType } from '../../shared/keys.ts';
import type { WrappedKey } from '../wrapped-key.ts';

/**
 * The work a session thread does, as plain data (it is structured-cloned between threads). One message carries a batch,
 * because a round trip costs ten times a job's share of it. Each item has its own answer: one bad item never fails its
 * neighbours.
 */

/** Makes a key: generate, wrap, prove that the blob signs, tag the row, attest the public key. */
export interface GenerateKeyJob {
  readonly requestId: string;
  readonly keyId: string;
  readonly organisation: string;
  readonly type: KeyType;
  /** Kinds of signature bodies that it signs; absent or empty = all. */
  readonly allowedKinds?: readonly string[];
}
export interface GeneratedKey {
  /** Complete, tag included, ready to be stored. */
  readonly key: WrappedKey;
  /** base64url r‖s over attestationDigest (src/shared/crypto/attestation.ts). */
  readonly attestation: string;
}

/** Signs with one key: one unwrap for all requests of the job. */
export interface SignJob {
  readonly key: WrappedKey;
  readonly requests: readonly { readonly requestId: string; readonly digests: readonly Buffer[] }[];
}
/** In the order of `requests`: all signatures of a request, each verified against the key's public key, or its error. */
export type SignAnswer = readonly HsmResult<readonly Signature[]>[];

/** Whether a slot holds one key of the key ring: it does what only that key can do. */
export type KeyProof = {
  /** `rotation`: the old master key as a rotation slot has it, which opens keys for the new one to wrap. */
  readonly kind: 'master' | 'integrity' | 'rotation';
  readonly id: string;
} & (
  | { readonly proven: true }
  /** Missing, or another key than its ceremony file says. */
  | { readonly proven: false; readonly why: string }
);

/** A failure of one item, classed (src/worker/hsm/ckr.ts) so that the worker knows what it says about the HSM. */
export interface HsmFailure {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly message: string;
  /** What it says about the device: nothing, that it must be probed, or that it is gone for this process. */
  readonly device: 'healthy' | 'suspect' | 'lost';
  /** Another slot, or a later try, may succeed. */
  readonly retryable: boolean;
  /** Not retryable as far as this healthy slot can tell, which does not open the key: one other slot should say the same. */
  readonly elsewhere?: true;
}
export type HsmResult<Value> = { readonly ok: true; readonly value: Value } | HsmFailure;
