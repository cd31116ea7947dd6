import type { GeneratedKey, GenerateKeyJob, HsmFailure, HsmResult, SignAnswer, SignJob } from '../hsm/jobs.ts';
import type { Metrics } from '../metrics.ts';
import type { WrappedKey } from '../wrapped-key.ts';

/** What jobs ask of the HSM. */
export interface HsmCalls {
  generateKeys(jobs: readonly GenerateKeyJob[]): Promise<readonly HsmResult<GeneratedKey>[]>;
  sign(jobs: readonly SignJob[]): Promise<readonly SignAnswer[]>;
  checkTags(keys: readonly WrappedKey[]): Promise<readonly HsmResult<boolean>[]>;
}

/** What a rotation asks of it. */
export interface MovingCalls {
  rewrap(rows: readonly WrappedKey[]): Promise<readonly HsmResult<WrappedKey>[]>;
  retag(rows: readonly WrappedKey[]): Promise<readonly HsmResult<WrappedKey>[]>;
}

/** As `answeringCalls`. */
export function answeringMoves(hsm: MovingCalls): MovingCalls {
  return {
    rewrap: (rows) => hsm.rewrap(rows).catch((error) => rows.map(() => lost(error))),
    retag: (rows) => hsm.retag(rows).catch((error) => rows.map(() => lost(error))),
  };
}

/**
 * A call that is rejected as a whole (a session thread ended) is a lost device for each of its items. How long the HSM
 * layer took, its queue included, is observed for each request.
 */
export function answeringCalls(
  hsm: HsmCalls,
  observe: Metrics['observe'],
): HsmCalls & { /** Since the last answer; 0 while a call is out. */ idleMs(): number } {
  let out = 0;
  let answeredAt = performance.now();

  async function timed<Answer>(call: Promise<Answer>): Promise<Answer> {
    out += 1;
    try {
      return await call;
    } finally {
      out -= 1;
      answeredAt = performance.now();
    }
  }

  return {
    idleMs: () => (out > 0 ? 0 : performance.now() - answeredAt),
    async generateKeys(jobs) {
      const began = performance.now();
      const answers = await timed(hsm.generateKeys(jobs)).catch((error) => jobs.map(() => lost(error)));
      observe('inHsm', 'GenerateKey', performance.now() - began, jobs.length);
      return answers;
    },
    async sign(jobs) {
      const began = performance.now();
      const answers = await timed(hsm.sign(jobs)).catch((error) =>
        jobs.map((job) => job.requests.map(() => lost(error))),
      );
      const requests = jobs.reduce((sum, job) => sum + job.requests.length, 0);
      observe('inHsm', 'Sign', performance.now() - began, requests);
      return answers;
    },
    checkTags: async (keys) => await timed(hsm.checkTags(keys)).catch((error) => keys.map(() => lost(error))),
  };
}

function lost(error: unknown): HsmFailure {
  const message = error instanceof Error ? error.message : String(error);
  return { ok: false, code: 'HSM_DEVICE_FAULT', message, device: 'lost', retryable: true };
}
