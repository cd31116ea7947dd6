import { setTimeout as sleep } from 'node:timers/promises';
import type { HsmWork, HsmWorkAnswer, HsmWorkKind, HsmWorkOf, HsmWorkValue } from '../../shared/hsm-work.ts';

/** Where jobs hand in work for the HSM: a slot of this node that is ready does it. */
export interface HsmDesk {
  readySlots(): readonly string[];
  /**
   * Waits for a slot that is free, or for the one that is named; asks again when a worker was replaced in the middle.
   * @throws HsmNotThere when none became free in a minute, or the work itself failed; AbortError
   */
  ask<Kind extends HsmWorkKind>(work: HsmWorkOf<Kind>, signal: AbortSignal, slot?: string): Promise<HsmWorkValue<Kind>>;
}

export class HsmNotThere extends Error {
  override readonly name = 'HsmNotThere';
}

export interface HsmDeskOptions {
  readonly readySlots: () => readonly string[];
  readonly askHsm: (slot: string, work: HsmWork) => Promise<HsmWorkAnswer>;
}

const patienceMs = 60_000;
const askAgainMs = 250;

export function createHsmDesk({ readySlots, askHsm }: HsmDeskOptions): HsmDesk {
  let next = 0;

  /** Ready slots in turn. */
  function choose(): string | undefined {
    const ready = readySlots();
    next += 1;
    return ready[next % Math.max(1, ready.length)];
  }

  return {
    readySlots,
    async ask<Kind extends HsmWorkKind>(work: HsmWorkOf<Kind>, signal: AbortSignal, named?: string) {
      const asked = performance.now();
      for (let last = 'no slot is ready'; ; ) {
        signal.throwIfAborted();
        const slot = named ?? choose();
        if (slot !== undefined) {
          const answer = await unless(signal, askHsm(slot, work));
          // The worker answers the kind that it was asked.
          if (answer.done) return answer.value as HsmWorkValue<Kind>;
          last = `slot ${slot}: ${answer.problem ?? answer.why}`;
          if (answer.why === 'failed' || answer.why === 'unknown') throw new HsmNotThere(`${work.kind}: ${last}`);
        }
        if (performance.now() - asked > patienceMs) throw new HsmNotThere(`${work.kind}: ${last}`);
        await sleep(askAgainMs, undefined, { signal });
      }
    },
  };
}

/** The worker goes on with what it has; nobody waits for it any more. */
async function unless<Value>(signal: AbortSignal, promise: Promise<Value>): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
