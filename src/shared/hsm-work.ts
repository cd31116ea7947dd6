import type { ChainHead } from './audit/event.ts';
import type { Curve } from './keys.ts';
import type { Attempt } from './maintenance/attempt.ts';

/**
 * Work on the HSM that a primary hands to one of its workers, since only a worker reaches a token: typed items in small
 * batches, plain data that survives JSON, never a key in the clear. A worker does it on a spare session and gives way to
 * signing (src/worker/maintenance). To add a kind: a member here, its doing in src/worker/maintenance/do-work.ts.
 */
export interface HsmWorkKinds {
  /** Opens the stored keys of these ids, as signing would. */
  'check-keys': { readonly ask: KeysToCheck; readonly value: readonly CheckedKey[] };
  /** On a rotation slot: the rows of these keys as they are under another master key. Nothing is stored. */
  'rewrap-keys': { readonly ask: KeysToMove; readonly value: readonly MovedKey[] };
  /** The same for another integrity key, on any signing slot. */
  'retag-keys': { readonly ask: KeysToMove; readonly value: readonly MovedKey[] };
  /** Tags the row of a key whose blob does not open as `broken`; the tag that it has must hold. */
  'mark-broken': { readonly ask: { readonly keyId: string }; readonly value: MarkedKey };
  /** Makes a key that nobody uses, wrapped by the current master key, for slots of other nodes to open. */
  'make-test-key': { readonly ask: { readonly curve: Curve }; readonly value: TestKey };
  'open-test-key': { readonly ask: { readonly testKey: TestKey }; readonly value: OpenedTestKey };
  /** Tells in this worker’s audit chain, whose heads its HSM signs, how far these chains have come: while the attempt lives. */
  'anchor-chains': {
    readonly ask: { readonly attempt: Attempt; readonly heads: readonly HeadOfChain[] };
    readonly value: ToldOfChains;
  };
}
export type HsmWorkKind = keyof HsmWorkKinds;

/** What is asked. */
export type HsmWork = {
  [Kind in HsmWorkKind]: { readonly kind: Kind } & HsmWorkKinds[Kind]['ask'];
}[HsmWorkKind];
export type HsmWorkOf<Kind extends HsmWorkKind> = Extract<HsmWork, { readonly kind: Kind }>;
export type HsmWorkValue<Kind extends HsmWorkKind> = HsmWorkKinds[Kind]['value'];

/** More would keep a worker from its other maintenance for too long. */
export const largestHsmBatch = 100;

export type HsmWorkAnswer<Kind extends HsmWorkKind = HsmWorkKind> =
  | { readonly done: true; readonly value: HsmWorkValue<Kind> }
  | HsmWorkRefusal;
/** Nothing was done, or nobody knows how much of it; every kind may be asked again. */
export interface HsmWorkRefusal {
  readonly done: false;
  /** `unknown`: a worker of an older version. `failed`: see the problem. */
  readonly why: 'not-ready' | 'busy' | 'gone' | 'unknown' | 'failed';
  readonly problem?: string;
}

export interface KeysToCheck {
  readonly keyIds: readonly string[];
  /** Those of them whose attributes are looked at for certain; of the others some, by chance. Absent: none. */
  readonly inFull?: readonly string[];
}

export interface KeysToMove {
  readonly keyIds: readonly string[];
  /** Rows under another key are passed over. */
  readonly fromId: string;
  /** Must be the slot’s current key: the rotation will say that the rows are wrapped or tagged by it. */
  readonly toId: string;
}

/** Bytes are base64. */
export type MovedKey = { readonly keyId: string } & (
  | {
      readonly verdict: 'moved';
      /** Of the row as it was read: it says all of it. */
      readonly oldTag: string;
      readonly blob: string;
      readonly wrapAlgorithm: string;
      readonly wrapMechanism: number;
      readonly tag: string;
    }
  /** `unusable`: it does not open, or was changed, on an HSM that is healthy. `unchecked`: the HSM could not say. */
  | { readonly verdict: 'unusable' | 'unchecked'; readonly problem: string }
);
/** How far a chain of the audit log has come. */
export interface HeadOfChain {
  readonly chain: string;
  readonly head: ChainHead;
}

export interface ToldOfChains {
  /** The worker’s own, which it does not tell of. */
  readonly inChain: string;
  readonly told: number;
}

/** A key that never signs for anybody. */
export interface TestKey {
  readonly curve: Curve;
  /** Hex, as in src/shared/keys.ts. */
  readonly publicKey: string;
  readonly masterKeyId: string;
  /** base64; opens only in an HSM with the master key. */
  readonly blob: string;
  readonly wrapAlgorithm: string;
  readonly wrapMechanism: number;
}

export interface OpenedTestKey {
  /** It opened, and signed for its public key; null: this slot cannot do the curve. */
  readonly opened: boolean | null;
  /** Whether this slot passed its own probe after it failed: if not, it is this slot that is wrong. */
  readonly soundItself: boolean;
  readonly problem?: string;
}

/** Both base64: what the row's tag was, and the tag of the same row with its new status. */
export interface MarkedKey {
  readonly tag: string;
  readonly newTag: string;
}

export interface CheckedKey {
  readonly keyId: string;
  /**
   * `holds`: tag, unwrap, a signature that verifies against the public key. `missing`: no row (any more). `tag`: the row
   * was changed. `unusable`: it does not open, or does not sign for its public key, on an HSM that is healthy.
   * `attributes`: the opened key is not as the unwrap template demands. `unchecked`: the HSM could not say.
   */
  readonly verdict: 'holds' | 'missing' | 'tag' | 'unusable' | 'attributes' | 'unchecked';
  readonly problem?: string;
}
