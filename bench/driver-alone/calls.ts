import type { Curve } from '../../src/shared/keys.ts';

export interface AloneRun {
  readonly curve: Curve;
  readonly keyIds: readonly string[];
  readonly ms: number;
}

export interface AloneRate {
  readonly done: number;
  readonly perSecond: number;
  readonly failed: number;
  readonly failure?: string;
  /** Process CPU time of one signature, milliseconds; and inside PKCS#11 calls. */
  readonly cpuMs: number;
  readonly pkcs11CpuMs: number;
}

export type DriverAloneCalls = {
  /** @param ask the node's configuration file: its first slot, database and key store are used. */
  open: { ask: { readonly configFile: string }; answer: null };
  createKeys: { ask: { readonly curve: Curve; readonly count: number }; answer: readonly string[] };
  run: { ask: AloneRun; answer: AloneRate };
};
