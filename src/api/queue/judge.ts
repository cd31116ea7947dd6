import type { Acknowledgement, OutcomeResult, Signature } from '../../shared/driver-protocol.ts';
import { finalStates, type RequestState } from './request.ts';

/** What the API's own record says about a request, when an outcome for it arrives. */
export interface Judged {
  readonly kind: 'GenerateKey' | 'Sign';
  readonly curve: string;
  readonly state: RequestState;
  /** The live lease, null when nobody holds it. */
  readonly lease: string | null;
  /** How many signatures were asked for; 0 for GenerateKey. */
  readonly digestCount: number;
  /** Of the key as the API shows it; null while the key is being made. */
  readonly keyPublicKey: string | null;
  /** What was accepted before. */
  readonly publicKey: string | null;
  readonly signatures: readonly Signature[] | null;
  /** Whether the reported public key carries the attestation of the key store's HSM. */
  readonly attested: (publicKey: string, attestation: string) => boolean;
}

/** What to do with the row. Anything but `nothing` is done in the transaction that is committed before the answer. */
export type Effect =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'made'; readonly publicKey: string; readonly attestation: string }
  | { readonly kind: 'signed'; readonly publicKey: string; readonly signatures: readonly Signature[] }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  /** Failed, unless a second slot may say otherwise; that one is asked once. */
  | { readonly kind: 'not opened'; readonly code: string; readonly message: string }
  /** Back to the queue: a slot could not do it, another one may. */
  | { readonly kind: 'requeue'; readonly counts: RequeueCounts; readonly code: string; readonly message: string };

/**
 * What a slot's failure says about the request. `as attempt`: a device fault; on distinct slots these add up. `when
 * repeated`: nothing, until a slot that had it before fails at it again. `never`: the slot only lacks what it needs.
 */
export type RequeueCounts = 'as attempt' | 'when repeated' | 'never';

export interface Judgement {
  readonly acknowledgement: Acknowledgement;
  readonly effect: Effect;
}

const nothing: Effect = { kind: 'nothing' };

/** The faults that say something about a device: two of them on two slots say something about the request. */
const deviceFaults = ['HSM_DEVICE_FAULT', 'SIGNATURE_INVALID'];
/** What says nothing about a request but that it belongs elsewhere: the slot that can do it may be away for a while. */
const notHere = ['KEY_NOT_ON_SLOT', 'CURVE_NOT_SUPPORTED', 'HSM_BACK_PRESSURE'];

/**
 * The rules of design "outcomes", pure: the first success with the right public key is accepted whatever its lease;
 * final is final; a different success later is a conflict; errors count only with the live lease.
 */
export function judge(row: Judged, lease: string, result: OutcomeResult): Judgement {
  switch (result.kind) {
    case 'PublicKey':
      return judgePublicKey(row, result);
    case 'Signatures':
      return judgeSignatures(row, result);
    case 'Error': {
      if (finalStates.includes(row.state)) return { acknowledgement: 'duplicate', effect: nothing };
      if (row.state !== 'leased' || row.lease !== lease) return { acknowledgement: 'unknown', effect: nothing };
      return { acknowledgement: 'accepted', effect: effectOfError(row.kind, result) };
    }
    default:
      throw new Error(`unknown outcome: ${result satisfies never}`);
  }
}

function effectOfError(kind: Judged['kind'], result: Extract<OutcomeResult, { kind: 'Error' }>): Effect {
  const { code, message, retryable, elsewhere } = result;
  if (retryable) return { kind: 'requeue', counts: requeueCounts(kind, code), code, message };
  return { kind: elsewhere === true ? 'not opened' : 'failed', code, message };
}

/** A signature request expires while it looks for its slot; a key request does not, so that it must end otherwise. */
function requeueCounts(kind: Judged['kind'], code: string): RequeueCounts {
  if (deviceFaults.includes(code)) return 'as attempt';
  return kind === 'Sign' && notHere.includes(code) ? 'never' : 'when repeated';
}

function judgePublicKey(row: Judged, result: Extract<OutcomeResult, { kind: 'PublicKey' }>): Judgement {
  if (row.kind !== 'GenerateKey') return { acknowledgement: 'conflict', effect: nothing };
  if (row.state === 'made')
    return { acknowledgement: row.publicKey === result.publicKey ? 'duplicate' : 'conflict', effect: nothing };
  if (finalStates.includes(row.state)) return { acknowledgement: 'conflict', effect: nothing };
  if (!row.attested(result.publicKey, result.attestation)) return { acknowledgement: 'conflict', effect: nothing };
  return {
    acknowledgement: 'accepted',
    effect: { kind: 'made', publicKey: result.publicKey, attestation: result.attestation },
  };
}

function judgeSignatures(row: Judged, result: Extract<OutcomeResult, { kind: 'Signatures' }>): Judgement {
  if (row.kind !== 'Sign') return { acknowledgement: 'conflict', effect: nothing };
  if (row.state === 'signed')
    return { acknowledgement: same(row.signatures, result.signatures) ? 'duplicate' : 'conflict', effect: nothing };
  if (finalStates.includes(row.state)) return { acknowledgement: 'conflict', effect: nothing };
  if (row.keyPublicKey !== result.publicKey || row.digestCount !== result.signatures.length)
    return { acknowledgement: 'conflict', effect: nothing };
  if (row.curve === 'secp256k1' && !haveRecids(result.signatures))
    return { acknowledgement: 'conflict', effect: nothing };
  return {
    acknowledgement: 'accepted',
    effect: { kind: 'signed', publicKey: result.publicKey, signatures: result.signatures },
  };
}

/** Each driver finds it when it verifies; without it no EVM signature can be written. */
export function haveRecids(signatures: readonly Signature[]): boolean {
  return signatures.every(({ recid }) => recid !== undefined);
}

function same(stored: readonly Signature[] | null, reported: readonly Signature[]): boolean {
  return (
    stored?.length === reported.length &&
    stored.every((one, at) => one.rs === reported[at]?.rs && one.recid === reported[at]?.recid)
  );
}
