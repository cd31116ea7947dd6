import type { HsmWork, HsmWorkAnswer, HsmWorkValue } from '../../shared/hsm-work.ts';
import { DatabaseLost } from '../database.ts';
import type { Bench } from './bench.ts';
import { checkKeys } from './check-keys.ts';
import { retagKeys, rewrapKeys } from './move-keys.ts';

/** The slot's maintenance: one batch at a time, refused while the slot is not ready. */
export interface HsmMaintenance {
  /** Never rejects. */
  take(work: HsmWork): Promise<HsmWorkAnswer>;
  /** What goes on ends after its step, and nothing more is taken. */
  stop(): void;
}

export function createHsmMaintenance(bench: Bench): HsmMaintenance {
  let stopping = new AbortController();
  let busy = false;
  bench.state.onChange((now) => {
    if (now === 'ready') return;
    // A suspect device is for its probe alone.
    stopping.abort();
    stopping = new AbortController();
  });

  return {
    async take(work) {
      if (bench.state.now !== 'ready') return { done: false, why: 'not-ready' };
      if (busy) return { done: false, why: 'busy' };
      busy = true;
      const { signal } = stopping;
      try {
        const value = await doWork(bench, work, signal);
        return value === undefined ? { done: false, why: 'unknown' } : { done: true, value };
      } catch (error) {
        if (signal.aborted) return { done: false, why: 'not-ready' };
        const problem = (error as Error).message;
        if (error instanceof DatabaseLost) return { done: false, why: 'failed', problem };
        bench.log.error({ kind: work.kind, err: error }, 'maintenance on the HSM failed unexpectedly');
        return { done: false, why: 'failed', problem };
      } finally {
        busy = false;
      }
    },
    stop: () => stopping.abort(),
  };
}

/** @returns undefined for a kind that only a newer primary knows. */
async function doWork(
  bench: Bench,
  work: HsmWork,
  signal: AbortSignal,
): Promise<HsmWorkValue<HsmWork['kind']> | undefined> {
  switch (work.kind) {
    case 'check-keys':
      return await checkKeys(bench, work.keyIds, signal);
    case 'rewrap-keys':
      return await rewrapKeys(bench, work, signal);
    case 'retag-keys':
      return await retagKeys(bench, work, signal);
    default:
      return work satisfies never;
  }
}
