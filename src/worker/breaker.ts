import CircuitBreaker from 'opossum';
import type { BreakerState } from '../shared/worker-report.ts';

/**
 * The circuit breaker of a slot, for verdicts on its device: one at a time, each from a probe. A customer's request is
 * never fired through it. (opossum would count those that began before a fault, and one that ends well while it is half
 * open would close it; errors that are filtered out count as successes.) So work is gated on `closed`, and what half-open
 * lets through is the next probe.
 *
 *   closed ──a probe failed──▶ open ──pause──▶ half-open ──the probe succeeded──▶ closed
 *                                ▲                 └──it failed──┐
 *                                └───────────────────────────────┘
 */
export interface Breaker {
  readonly state: BreakerState;
  /** A probe succeeded, or it failed and the next one is due after a pause. Resolves when the listeners were told. */
  tell(verdict: { readonly sound: true } | { readonly sound: false; readonly pauseMs: number }): Promise<void>;
  /** Without an end: the process leaves. */
  open(): void;
  stop(): void;
}

export interface BreakerListeners {
  /** From closed; not when it opens again after half-open. */
  onOpen(): void;
  onHalfOpen(): void;
  onClose(): void;
}

export function createBreaker({ onOpen, onHalfOpen, onClose }: BreakerListeners): Breaker {
  const options = {
    // A native call cannot be taken back: the primary's watchdog ends the process instead.
    timeout: false as const,
    // One failed probe is enough.
    volumeThreshold: 1,
    errorThresholdPercentage: 0,
    resetTimeout: 0,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  };
  const circuit = new CircuitBreaker(async (sound: boolean) => {
    if (!sound) throw new Error('the probe failed');
  }, options);
  let wasClosed = true;
  circuit.on('open', () => {
    if (wasClosed) onOpen();
    wasClosed = false;
  });
  circuit.on('halfOpen', onHalfOpen);
  circuit.on('close', () => {
    wasClosed = true;
    onClose();
  });

  return {
    get state() {
      if (circuit.closed) return 'closed';
      return circuit.halfOpen ? 'half-open' : 'open';
    },
    async tell(verdict) {
      // opossum reads it when it opens.
      if (!verdict.sound) options.resetTimeout = verdict.pauseMs;
      await circuit.fire(verdict.sound).catch(() => {});
    },
    open() {
      options.resetTimeout = 2 ** 31 - 1;
      circuit.open();
    },
    stop() {
      circuit.shutdown();
    },
  };
}
