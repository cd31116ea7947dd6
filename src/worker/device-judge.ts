import { CodedError, catalogueEntry } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { HsmFailure, HsmResult } from './hsm/jobs.ts';
import type { SlotState } from './slot-state.ts';

/**
 * Decides what a failed call says about the HSM. A suspect device is probed once for all failures that wait: a real
 * wrap, unwrap, sign and verify. One that is lost ends this process: recovery is a new process, since C_Finalize can
 * itself hang.
 */
export interface DeviceJudge {
  /** `sound`: only the request failed. `lost`: the process is about to end. */
  judge(failure: HsmFailure): Promise<'sound' | 'lost'>;
}

export function createDeviceJudge(options: {
  readonly state: SlotState;
  readonly probe: () => Promise<HsmResult<undefined>>;
  readonly onLost: (error: CodedError) => void;
  readonly log: Log;
}): DeviceJudge {
  const { state, probe, onLost, log } = options;
  let probing: Promise<'sound' | 'lost'> | undefined;
  let lost = false;

  function markLost(failure: HsmFailure): 'lost' {
    if (!lost) {
      lost = true;
      // The code decides how the primary goes on: after a refused PIN it must not start another worker.
      const named = catalogueEntry(failure.code).exit !== undefined && failure.code !== 'INTERNAL';
      onLost(new CodedError(named ? failure.code : 'HSM_DEVICE_FAULT', failure.message));
    }
    return 'lost';
  }

  async function probeOnce(failure: HsmFailure): Promise<'sound' | 'lost'> {
    log.warn({ code: failure.code, cause: failure.message }, 'HSM call failed; probing the device');
    state.to('suspect');
    const result = await probe().catch((error): HsmFailure => ({ ...failure, message: (error as Error).message }));
    if (!result.ok) return markLost(result);
    state.to('ready');
    log.info('HSM answered the probe');
    return 'sound';
  }

  return {
    async judge(failure) {
      if (lost) return 'lost';
      switch (failure.device) {
        case 'healthy':
          return 'sound';
        case 'suspect':
          probing ??= probeOnce(failure).finally(() => {
            probing = undefined;
          });
          return await probing;
        case 'lost':
          return markLost(failure);
        default:
          throw new Error(`unknown: ${failure.device satisfies never}`);
      }
    },
  };
}
