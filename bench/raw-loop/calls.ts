import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import type { Curve } from '../../src/shared/keys.ts';

/**
 * strict    C_UnwrapKey, C_SignInit, C_Sign, C_DestroyObject: what a strictly stateless signature costs at least
 * kept      C_SignInit and C_Sign with keys that stay unwrapped
 * generate  C_GenerateKeyPair, C_WrapKey, both objects destroyed
 */
export const rawWorks = ['strict', 'kept', 'generate'] as const;
export type RawWork = (typeof rawWorks)[number];

export interface RawRun {
  readonly curve: Curve;
  readonly work: RawWork;
  readonly threads: number;
  readonly ms: number;
}

export interface RawRate {
  readonly perSecond: number;
  /** Thread CPU time of one operation, in milliseconds. */
  readonly cpuMs: number;
  /** Wall time of one operation of one thread, in milliseconds. */
  readonly eachMs: number;
}

export type RawLoopCalls = {
  open: {
    ask: { readonly slot: SlotConfiguration; readonly ceremonyFile: string; readonly threads: number };
    answer: null;
  };
  run: { ask: RawRun; answer: RawRate };
};

/** What a thread is given, and what it answers. */
export interface RawThreadData {
  readonly slot: SlotConfiguration;
  readonly ceremonyFile: string;
}
export type RawQuestion = Omit<RawRun, 'threads'>;
export interface RawCount {
  readonly count: number;
  readonly ms: number;
  readonly cpuMs: number;
}
