import { setTimeout as sleep } from 'node:timers/promises';
import type { CodedError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { createQuietLog } from '../shared/quiet-log.ts';
import type { BreakerState } from '../shared/worker-report.ts';
import { createBreaker } from './breaker.ts';
import { afterProbe, lastWords, respond } from './device-policy.ts';
import type { HsmFailure, HsmResult } from './hsm/jobs.ts';
import type { Count } from './metrics.ts';
import type { SlotState } from './slot-state.ts';

/**
 * Decides what a failed call says about the HSM, by the policy in device-policy.ts, and gates the slot by it. A suspect
 * device is probed once for all failures that wait; meanwhile nothing enters it. The failures are told the first verdict:
 * they do not wait while the breaker is open, another slot takes their requests.
 */
export interface DeviceJudge {
  /** `sound`: only the request failed. `crowded`: the HSM has no room now. `faulty`: it is the device. */
  judge(failure: HsmFailure): Promise<DeviceVerdict>;
  /** Somebody else met a fault of this device: it is probed before the next call. */
  suspect(): void;
  readonly breaker: BreakerState;
  stop(): void;
}
export type DeviceVerdict = 'sound' | 'crowded' | 'faulty';

export interface DeviceJudgeOptions {
  readonly state: SlotState;
  readonly probe: () => Promise<HsmResult<undefined>>;
  /** The breaker opened, or the process is about to leave: `error` is what siblings on the same token should know. */
  readonly onFault: (error: CodedError) => void;
  /** No room for a session or an object. */
  readonly onCrowded: () => void;
  /** This process cannot go on. */
  readonly onHopeless: (error: CodedError) => void;
  readonly count: Count;
  readonly log: Log;
}

export function createDeviceJudge(options: DeviceJudgeOptions): DeviceJudge {
  const { state, count, log } = options;
  const quiet = createQuietLog(log);
  let proving: Promise<'sound' | 'faulty'> | undefined;
  let failed = 0;
  let opened: { readonly by: CodedError; readonly at: number } | undefined;
  let leaving = false;
  let stopped = false;

  const breaker = createBreaker({
    onOpen: () => count('breaker_opened'),
    onHalfOpen: () => void prove(),
    onClose() {
      log.info({ ms: Math.round(performance.now() - (opened?.at ?? 0)) }, 'HSM answered the probe; breaker closed');
      opened = undefined;
    },
  });

  function leave(error: CodedError): 'faulty' {
    if (leaving || stopped) return 'faulty';
    leaving = true;
    breaker.open();
    if (error.code === 'HSM_DEVICE_FAULT') options.onFault(error);
    options.onHopeless(error);
    return 'faulty';
  }

  function prove(): Promise<'sound' | 'faulty'> {
    proving ??= proveOnce().finally(() => {
      proving = undefined;
    });
    return proving;
  }

  async function proveOnce(): Promise<'sound' | 'faulty'> {
    state.to('suspect');
    for (let crowded = 0; !stopped; crowded += 1) {
      count('probes');
      const result = await options.probe().catch(unanswered);
      if (stopped) break;
      const proof = afterProbe(result, failed, crowded);
      switch (proof.is) {
        case 'sound':
          failed = 0;
          await breaker.tell({ sound: true });
          state.to('ready');
          return 'sound';
        case 'crowded':
          count('back_pressure');
          options.onCrowded();
          await sleep(proof.pauseMs, undefined, { ref: false });
          break;
        case 'faulty':
          failed += 1;
          count('probes_failed');
          await openFor(lastWords(result as HsmFailure), proof.pauseMs);
          return 'faulty';
        case 'hopeless':
          count('probes_failed');
          return leave(proof.error);
        default:
          return proof satisfies never;
      }
    }
    return 'faulty';
  }

  async function openFor(error: CodedError, pauseMs: number): Promise<void> {
    await breaker.tell({ sound: false, pauseMs });
    if (opened !== undefined) return;
    opened = { by: error, at: performance.now() };
    log.warn({ code: error.code, cause: error.detail }, 'HSM failed the probe; breaker open, no work is taken');
    options.onFault(error);
  }

  return {
    async judge(failure) {
      if (leaving || stopped) return 'faulty';
      const response = respond(failure);
      switch (response) {
        case 'nothing':
          return 'sound';
        case 'ease':
          count('back_pressure');
          quiet.warn({ code: failure.code, cause: failure.message }, 'HSM has no room; fewer calls at a time');
          options.onCrowded();
          return 'crowded';
        case 'probe':
          count('device_faults');
          if (breaker.state !== 'closed') return 'faulty';
          quiet.warn({ code: failure.code, cause: failure.message }, 'HSM call failed; probing the device');
          return await prove();
        case 'leave':
          count('device_faults');
          return leave(lastWords(failure));
        default:
          return response satisfies never;
      }
    },
    suspect() {
      count('sibling_warnings');
      if (!leaving && !stopped && state.now === 'ready') void prove();
    },
    get breaker() {
      return breaker.state;
    },
    stop() {
      stopped = true;
      breaker.stop();
    },
  };
}

/** A session thread that ended, or a defect of ours: the process is of no use for this. */
function unanswered(error: unknown): HsmFailure {
  const message = error instanceof Error ? error.message : String(error);
  return { ok: false, code: 'HSM_DEVICE_FAULT', message, device: 'lost', retryable: true };
}
