import type { WorkerState } from './worker-state.ts';

/**
 * What a worker tells its primary once a second, besides heartbeats: plain data, cumulative since the worker's start, so
 * that a lost message loses nothing. The primary keeps totals over the workers of a slot and serves them; no scrape ever
 * waits for a worker.
 */

/** Upper bounds in seconds of every latency histogram; the last bucket is +Inf. */
export const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export interface Histogram {
  /** Observations at or below each bound of `latencyBuckets`, not cumulative, and one more for the rest. */
  readonly buckets: readonly number[];
  readonly sumSeconds: number;
}

/** What a worker holds callers' authorisations to, as it stands. */
export interface PolicyReport {
  readonly mode: 'off' | 'report' | 'enforce';
  readonly kinds?: readonly string[];
  /** Absent: there is none in force. */
  readonly credentialList?: { readonly version: number; readonly credentials: number };
  readonly frozen: readonly { readonly id: string; readonly scope: string; readonly subject: string }[];
  readonly clockAheadMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** Why the signing API does not do what a worker asks. */
export interface ApiTrouble {
  /** `unreachable`: nobody answers. `unwell`: it answers with an error of its own. `refused`: it will not; a person must act. */
  readonly kind: 'unreachable' | 'unwell' | 'refused';
  /** What the network or the API said, for people. */
  readonly said: string;
}

export interface WorkerReport {
  readonly state: WorkerState;
  readonly breaker: BreakerState;
  /** Ended requests by kind and outcome: `Sign signed`, `Sign error KEY_UNUSABLE`, `GenerateKey made`, … */
  readonly requests: Readonly<Record<string, number>>;
  /** Events by name: journal rows, journal conflicts, discarded signatures, tag failures, leases taken and given back… */
  readonly events: Readonly<Record<string, number>>;
  /** From delivery to outcome, and inside the HSM layer, by request kind. */
  readonly inDriver: Readonly<Record<string, Histogram>>;
  /** From the application’s request to the lease, as the API tells it. */
  readonly inQueue: Readonly<Record<string, Histogram>>;
  readonly inHsm: Readonly<Record<string, Histogram>>;
  /** `pkcs11CpuMs`: CPU time inside native calls since the worker’s start, where it is measured. */
  readonly threads: { readonly total: number; readonly busy: number; readonly pkcs11CpuMs?: number };
  /** Requests held, outcomes not acknowledged included. */
  readonly held: number;
  /** `none`: a rotation slot asks nobody for work. */
  readonly api: 'reached' | 'lost' | 'none';
  /** While it is lost; absent from version 0.1. */
  readonly apiTrouble?: ApiTrouble;
  readonly database: 'answers' | 'lost';
  /** notAfter of the client certificate in use, milliseconds since 1970. */
  readonly certificateExpiresAt?: number;
  /** Since the first lease answer of this worker; false before, and on a rotation slot. */
  readonly leasedOnce: boolean;
  /** Known once there is work. */
  readonly policy?: PolicyReport;
  /** Known once the slot was opened. */
  readonly slot?: SlotFacts;
}

export interface SlotFacts {
  readonly token: {
    readonly label: string;
    readonly serial: string;
    readonly manufacturer: string;
    readonly model: string;
    readonly firmware: string;
  };
  /** What the ceremony's protocol says against it: a rehearsal, tier B; absent from version 0.1. */
  readonly warnings?: readonly string[];
  /** The current one: new keys are wrapped by it. */
  readonly masterKeyId: string;
  /** The current one: new rows are tagged by it. */
  readonly integrityKeyId?: string;
  /** Every key that the configuration names; absent from version 0.1. */
  readonly keys?: readonly {
    readonly kind: 'master' | 'integrity' | 'rotation';
    readonly id: string;
    readonly proven: boolean;
    readonly why?: string;
  }[];
  /** For people; with the method that made it. Absent where the token cannot make one. */
  readonly fingerprint?: { readonly method: string; readonly value: string };
  readonly capabilities: readonly string[];
  readonly probe: readonly {
    readonly curve: string;
    readonly wrapAlgorithm?: string;
    readonly wrapMechanism: number;
    /** Whether the token lists curve and mechanism: advertised but refused is a fault of the device, not of the choice. */
    readonly advertised?: boolean;
    readonly works: boolean;
    readonly failure?: string;
  }[];
}
