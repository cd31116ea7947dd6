import { protocolLimits } from '../shared/driver-protocol.ts';

/**
 * How much more work this worker may ask for: what it can finish in about a second, measured, and never less than one
 * request a session thread. Weight is signatures or keys; a request with 40 digests weighs 40.
 *
 * The rate is work done per time with work in the HSM (not per wall time: an idle worker is not a slow one), over a
 * window that halves every `halfLifeMs` of busy time.
 */
export interface Capacity {
  /** Work enters the HSM; call the returned function when it has left. */
  begin(weight: number): () => void;
  /** @param weightInWork what is delivered and not finished. @returns requests, 0 to maxBatch. */
  room(weightInWork: number): number;
  /**
   * Requests that should enter the HSM together: what it does in `batchMs`, and enough for every thread. A batch ends as
   * one, so a larger one would make its first wait for its last; a smaller one costs the databases more statements.
   */
  batch(): number;
  /** Weight in the HSM now. */
  readonly inside: number;
}

const halfLifeMs = 2_000;
const batchMs = 100;

export function createCapacity(threads: number, now: () => number = () => performance.now()): Capacity {
  let inside = 0;
  let busySince = 0;
  let busyMs = 0;
  let done = 0;

  function account(): void {
    const time = now();
    if (inside > 0) {
      const elapsed = time - busySince;
      const keep = 0.5 ** (elapsed / halfLifeMs);
      busyMs = busyMs * keep + elapsed;
      done *= keep;
    }
    busySince = time;
  }

  /** Nothing measured yet: enough to keep each thread busy while the next answer is on its way. */
  const perSecond = (): number => (busyMs < 20 ? 4 * threads : (done / busyMs) * 1_000);

  return {
    begin(weight) {
      account();
      inside += weight;
      return () => {
        account();
        inside -= weight;
        done += weight;
      };
    },
    room(weightInWork) {
      const capacity = Math.max(threads, Math.floor(perSecond()));
      const free = capacity - weightInWork;
      // Asking for every single place that becomes free costs a call each: an eighth is worth one.
      if (weightInWork > threads && free < capacity / 8) return 0;
      return Math.min(protocolLimits.maxBatch, Math.max(0, free));
    },
    batch() {
      return Math.min(protocolLimits.maxBatch, Math.max(2 * threads, Math.ceil((perSecond() * batchMs) / 1_000)));
    },
    get inside() {
      return inside;
    },
  };
}
