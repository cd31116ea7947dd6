import type { ClientFile } from '../../scripts/local/client.ts';

export type LoadCurve = 'secp256k1' | 'ed25519';

export interface LoadKeys {
  readonly curve: LoadCurve;
  readonly ids: readonly string[];
}

/** How requests come: so many on their way at any time, or so many each second whatever happens. */
export type Pace = { readonly inFlight: number } | { readonly perSecond: number };

export interface LoadRun {
  readonly pace: Pace;
  readonly ms: number;
  /** False: the user actions were made before the run, without the API. True: two more calls before each request. */
  readonly userActions: boolean;
  readonly request: LoadRequest;
}

export type LoadRequest =
  /** Each request takes the next key, so that no two in one batch share one as long as there are more keys than requests on their way. */
  { readonly kind: 'sign'; readonly keys: LoadKeys } | { readonly kind: 'generate'; readonly curve: LoadCurve };

export interface LoadResult {
  readonly done: number;
  readonly perSecond: number;
  /** Anything but a signature or a key in the answer; and the first of them. */
  readonly failed: number;
  readonly failure?: string;
  /** From the call to its whole answer, milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export type LoadCalls = {
  open: {
    ask: { readonly client: ClientFile; readonly userActionSecretFile: string; readonly connections: number };
    answer: null;
  };
  createKeys: { ask: { readonly curve: LoadCurve; readonly count: number }; answer: LoadKeys };
  /** Makes user actions for so many requests like these, to be used by the runs that follow. */
  prepare: { ask: { readonly request: LoadRequest; readonly count: number }; answer: null };
  run: { ask: LoadRun; answer: LoadResult };
};
