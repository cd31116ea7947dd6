import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiAccess } from '../shared/configuration/driver.ts';
import type { Log } from '../shared/log.ts';
import { callApi } from './api-call.ts';

/**
 * Tells the API that an instance has ended, so that what it held goes to others now. Without it they wait until the API
 * misses the instance, a second or two: so a few quick tries, and no more.
 */
export interface ReleaseClient {
  /** Never rejects. @param limitMs for all tries together. */
  release(instance: string, limitMs: number): Promise<void>;
}

const pausesMs = [0, 200, 500, 1_000];
const callTimeoutMs = 1_000;

/** @param current the API's section as it is in force when a call is made; a rotation node has none and holds no requests. */
export function createReleaseClient(current: () => ApiAccess | undefined, log: Log): ReleaseClient {
  async function tryAll(instance: string, limit: AbortSignal): Promise<void> {
    let problem = 'no time was left';
    for (const pauseMs of pausesMs) {
      await sleep(pauseMs, undefined, { signal: limit }).catch(() => {});
      const api = current();
      if (api === undefined) return;
      for (const address of api.addresses) {
        if (limit.aborted) break;
        try {
          const signal = AbortSignal.any([limit, AbortSignal.timeout(callTimeoutMs)]);
          const { status } = await callApi(api, address, '/driver/v1/release', { instance }, signal);
          if (status === 200 || status === 409) {
            log.info({ instance }, 'instance released');
            return;
          }
          problem = `the API answered ${status}`;
        } catch (error) {
          problem = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
        }
      }
    }
    log.warn({ instance, cause: problem }, 'instance not released; the API will miss it by itself');
  }

  return {
    async release(instance, limitMs) {
      await tryAll(instance, AbortSignal.timeout(limitMs));
    },
  };
}
