import { type LeaseCall, protocolLimits } from '../shared/driver-protocol.ts';
import { asCodedError, type CodedError } from '../shared/errors.ts';
import { createAlarm } from './alarm.ts';
import { type Leased, retryDelayMs } from './api-client.ts';
import { ApiFailure } from './api-transport.ts';
import { createBackOff } from './back-off.ts';

/**
 * The poll loop: one lease call at a time, as long as the worker lives. Each call names everything that is held, and
 * thereby renews it; whatever this instance was given beside it goes back to the queue, so an answer that got lost
 * costs nothing.
 */
export interface Poller {
  start(): void;
  /** Something changed (room, the gate): look again instead of sleeping on. */
  wake(): void;
  /** The gate closed: a call that waits for work is ended, so that the next one says so at once. */
  interrupt(): void;
  /** Ends the loop and the call that is on the wire. */
  stop(): Promise<void>;
}

export interface PollerOptions {
  lease(call: Pick<LeaseCall, 'max' | 'holding' | 'waitMs'>, signal: AbortSignal): Promise<Leased>;
  /** Requests that may be asked for now; 0 while the gate is closed. */
  room(): number;
  holding(): string[];
  take(leased: Leased): void;
  /** There will be no more: the API ended this instance, or this is a defect. */
  onEnded(error: CodedError): void;
}

/**
 * While something is held, a call comes back at least this often and renews it. Not longer: one that lies in a dead
 * connection shows the API a worker that is there, for as long as it was to wait.
 */
const renewalMs = 500;
/**
 * A worker without room has no call open that shows it is there: it calls this often, twice within the time after which it
 * counts as gone, and the API takes no note of a call a quarter of a second after another one.
 */
const fullPauseMs = 500;
const emptyPauseMs = 200;

export function createPoller(options: PollerOptions): Poller {
  const alarm = createAlarm();
  const backOff = createBackOff(100, 2_000);
  let call: { readonly abort: AbortController; readonly asksForWork: boolean } | undefined;
  let stopping = false;
  let first = true;
  let loop: Promise<void> = Promise.resolve();

  async function poll(): Promise<void> {
    while (!stopping) {
      // First forget old rings, then look: what changes from here on rings again.
      alarm.clear();
      const max = options.room();
      if (!(await pollOnce(max))) return;
      if (max === 0 && !stopping) await alarm.sleep(fullPauseMs);
    }
  }

  /** @returns false when there will never be an answer again. */
  async function pollOnce(max: number): Promise<boolean> {
    const holding = options.holding();
    const abort = new AbortController();
    call = { abort, asksForWork: max > 0 };
    try {
      // Held open only while waiting for work, and not for long while leases need renewal.
      // The very first is answered at once: whether the API is there, and takes us, is known then.
      const waitMs = max === 0 || first ? 0 : holding.length === 0 ? protocolLimits.maxWaitMs : renewalMs;
      const asked = performance.now();
      const leased = await options.lease({ max, holding, waitMs }, abort.signal);
      backOff.reset();
      first = false;
      if (!stopping) options.take(leased);
      // An API that is about to stop answers at once and empty: not asked in a tight loop.
      const early = leased.requests.length === 0 && performance.now() - asked < waitMs / 2;
      if (early) await alarm.sleep(emptyPauseMs);
    } catch (error) {
      if (abort.signal.aborted) return true;
      if (!(error instanceof ApiFailure)) {
        options.onEnded(asCodedError(error));
        return false;
      }
      alarm.clear();
      await alarm.sleep(retryDelayMs(error, backOff));
    } finally {
      call = undefined;
    }
    return true;
  }

  return {
    start() {
      loop = poll();
    },
    wake: alarm.ring,
    interrupt() {
      if (call?.asksForWork === true) call.abort.abort();
      alarm.ring();
    },
    async stop() {
      stopping = true;
      call?.abort.abort();
      alarm.ring();
      await loop;
    },
  };
}
