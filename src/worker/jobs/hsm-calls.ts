import type { GeneratedKey, GenerateKeyJob, HsmFailure, HsmResult, SignAnswer, SignJob } from '../hsm/jobs.ts';
import type { WrappedKey } from '../wrapped-key.ts';

/** What jobs ask of the HSM. */
export interface HsmCalls {
  generateKeys(jobs: readonly GenerateKeyJob[]): Promise<readonly HsmResult<GeneratedKey>[]>;
  sign(jobs: readonly SignJob[]): Promise<readonly SignAnswer[]>;
  checkTags(keys: readonly WrappedKey[]): Promise<readonly HsmResult<boolean>[]>;
}

/** A call that is rejected as a whole (a session thread ended) is a lost device for each of its items. */
export function answeringCalls(hsm: HsmCalls): HsmCalls {
  return {
    generateKeys: async (jobs) => await hsm.generateKeys(jobs).catch((error) => jobs.map(() => lost(error))),
    sign: async (jobs) => await hsm.sign(jobs).catch((error) => jobs.map((job) => job.requests.map(() => lost(error)))),
    checkTags: async (keys) => await hsm.checkTags(keys).catch((error) => keys.map(() => lost(error))),
  };
}

function lost(error: unknown): HsmFailure {
  const message = error instanceof Error ? error.message : String(error);
  return { ok: false, code: 'HSM_DEVICE_FAULT', message, device: 'lost', retryable: true };
}
