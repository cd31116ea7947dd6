import type { HsmWork, HsmWorkAnswer, HsmWorkValue } from '../../shared/hsm-work.ts';
import { AttemptOver } from '../../shared/maintenance/attempt.ts';
import { anchorChains } from '../audit/anchor-chains.ts';
import { DatabaseLost } from '../database.ts';
import type { Bench } from './bench.ts';
import { checkKeys } from './check-keys.ts';
import { markBroken } from './mark-broken.ts';
import { retagKeys, rewrapKeys } from './move-keys.ts';
import { makeTestKey, openTestKey } from './test-keys.ts';

/** The slot's maintenance: one batch at a time, refused while the slot is not ready. */
export interface HsmMaintenance {
  /** Never rejects. */
  take(work: HsmWork): Promise<HsmWorkAnswer>;
  /** What goes on ends after its step, and nothing more is taken. */
  stop(): void;
}

/** A suspect device is for its probe alone. */
class SlotSuspect extends Error {
  override readonly name = 'SlotSuspect';
}

export function createHsmMaintenance(bench: Bench): HsmMaintenance {
  const stopping = new AbortController();
  let busy = false;
  bench.state.onChange((now) => {
    if (now === 'stopping') stopping.abort();
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
        if (signal.aborted || error instanceof SlotSuspect) return { done: false, why: 'not-ready' };
        const problem = (error as Error).message;
        if (error instanceof DatabaseLost || error instanceof AttemptOver)
          return { done: false, why: 'failed', problem };
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
      return await checkKeys(bench, work, signal);
    case 'rewrap-keys':
      return await rewrapKeys(whileSound(bench), work, signal);
    case 'retag-keys':
      return await retagKeys(whileSound(bench), work, signal);
    case 'mark-broken':
      return await markBroken(bench, work.keyId);
    case 'make-test-key':
      return await makeTestKey(bench, work.curve);
    case 'open-test-key':
      return await openTestKey(bench, work.testKey);
    case 'anchor-chains':
      if (bench.audit === undefined) throw new Error('this slot keeps no audit chain');
      return await anchorChains(bench.database, bench.audit, work);
    default:
      work satisfies never;
      return undefined;
  }
}

/** For work that is asked again as a whole: its next step is not begun while the slot is suspect. */
function whileSound(bench: Bench): Bench {
  return {
    ...bench,
    pace: {
      async step(act, signal) {
        if (bench.state.now === 'suspect') throw new SlotSuspect('the slot is suspect');
        return await bench.pace.step(act, signal);
      },
    },
  };
}
