import type { Authorisation, Signature } from '../../shared/driver-protocol.ts';
import type { KeyType, RequestKind } from '../../shared/keys.ts';
import type { WalletToBe } from '../wallets/complete-wallets.ts';

/**
 * A row of the `request` table: one unit of work for the drivers and the record of what the application asked.
 * States and who changes them (nothing else does):
 *
 *   queued     submit.ts inserts; lease.ts and expiry.ts put a leased one back
 *   leased     lease.ts
 *   signed     outcomes.ts; final: all signatures are there
 *   made       outcomes.ts; final: the key is there
 *   failed     outcomes.ts, expiry.ts; final
 *   cancelled  cancel.ts: a GenerateKey that no driver ever saw, at the end of its hold; final
 */
export type RequestState = 'queued' | 'leased' | 'signed' | 'made' | 'failed' | 'cancelled';

export const finalStates: readonly RequestState[] = ['signed', 'made', 'failed', 'cancelled'];

/** Not final yet: a caller may wait for it. */
export function isOpen({ state }: Pick<RequestRow, 'state'>): boolean {
  return !finalStates.includes(state);
}

export interface Requester {
  readonly organisation: string;
  /** `us-…` and `to-…`. */
  readonly serviceAccount: string;
  readonly accessToken: string;
}

/** What the application side hands to the queue. */
export interface NewRequest {
  readonly id: string;
  readonly kind: RequestKind;
  readonly requester: Requester;
  readonly keyStore: string;
  readonly keyId: string;
  readonly type: KeyType;
  readonly keyName?: string;
  /** Id of the user action that authorised it: consumed by the insert. */
  readonly userAction: string;
  readonly externalId?: string;
  /** SHA-256 over path and canonical body, 32 bytes. */
  readonly fingerprint: Buffer;
  /** The request body as it was sent, echoed in answers. */
  readonly body: unknown;
  readonly network?: string;
  /** The wallet that signs, or that a GenerateKey is for. */
  readonly walletId?: string;
  /** GenerateKey only: the wallet to be made together with the key; see src/api/wallets/complete-wallets.ts. */
  readonly wallet?: WalletToBe;
  /** Sign only: what C_Sign is given, one a signature. */
  readonly digests?: readonly Buffer[];
  /** Sign only: plain JSON that src/shared/chains needs to join signatures into `encoded` and `signedData`. */
  readonly format?: unknown;
  readonly authorisation: Authorisation;
  /** What was taken from memory; it is inserted only if all of it still holds. */
  readonly believed?: BeliefOfRequest;
}

export interface BeliefOfRequest {
  /** Account and token are active, and the organisation's rights are those of this version. */
  readonly rightsVersion: string;
  /** Sign: the key is active and as it was read. */
  readonly key?: { readonly publicKey: string; readonly attestation: string };
}

/** Something that was taken from memory does not hold any more: nothing was inserted, nothing is known. */
export class BeliefOutdated extends Error {
  override readonly name = 'BeliefOutdated';
}

/** What the application side reads back. */
export interface RequestRow {
  readonly id: string;
  readonly kind: RequestKind;
  readonly state: RequestState;
  readonly requester: Requester;
  readonly keyStore: string;
  readonly keyId: string;
  readonly type: KeyType;
  readonly fingerprint: Buffer;
  readonly body: unknown;
  readonly network?: string;
  readonly walletId?: string;
  readonly externalId?: string;
  readonly format?: unknown;
  readonly deliveries: number;
  readonly publicKey?: string;
  readonly signatures?: readonly Signature[];
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly createdAt: Date;
  readonly doneAt?: Date;
}

/** What the end of a request changes in its row. */
export type RequestEnd = Pick<
  RequestRow,
  'id' | 'state' | 'publicKey' | 'signatures' | 'errorCode' | 'errorMessage' | 'doneAt'
>;

/** The queue as the application's routes see it. */
export interface RequestQueue {
  /**
   * Throws NO_SIGNER_READY when no capable slot of the key store was ready during the last 10 s: call it before
   * `submit`, so that nothing is stored.
   */
  requireCapacity(keyStore: string, kind: RequestKind, type: KeyType): void;
  /** Throws KEY_RESTS where a request for the key has just ended all workers that got it: likewise before `submit`. */
  requireRested(keyId: string): void;
  /**
   * Inserts the request, or finds the one with the same id. `fresh: false` means that the row was there before: the
   * caller compares the fingerprint. A user action that another request consumed throws USER_ACTION_USED. Where not all
   * that `believed` says holds, it throws BeliefOutdated, whether or not there is such a row.
   */
  submit(request: NewRequest): Promise<{ readonly row: RequestRow; readonly fresh: boolean }>;
  /** The row when it is final, or as it stands after `holdMs`. */
  hold(id: string, holdMs: number): Promise<RequestRow>;
  /** Cancels a GenerateKey that was never delivered; the row as it stands afterwards (cancelled, or what it became). */
  cancel(id: string): Promise<RequestRow>;
  find(organisation: string, id: string): Promise<RequestRow | undefined>;
}
