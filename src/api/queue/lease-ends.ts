import type pg from 'pg';
import { endLeases } from './expiry.ts';
import type { HeldRows } from './held-rows.ts';
import type { RequestRecord } from './request-row.ts';
import type { RestingKeys } from './resting-keys.ts';

export interface LeaseEndsParts {
  readonly durable: pg.Pool;
  readonly restingKeys: RestingKeys;
  readonly heldRows: HeldRows;
}

/**
 * Ends leases that are over, all or those of one instance, lets the keys rest whose requests used up their attempts so, and
 * tells whoever waits for what has failed.
 * @returns how many requests went back to the queue.
 */
export type EndLeasesAndTell = (instance?: string) => Promise<number>;

export function createLeaseEnds({ durable, restingKeys, heldRows }: LeaseEndsParts): EndLeasesAndTell {
  return async (instance) => {
    const { failed, requeued } = await endLeases(durable, instance);
    let waited: readonly RequestRecord[] = [];
    try {
      // Before anybody is answered, who might ask again at once.
      waited = await restingKeys.rest(failed);
    } finally {
      heldRows.finished([...failed, ...waited]);
    }
    return requeued;
  };
}
