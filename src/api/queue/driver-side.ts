import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import type { LeaseCall, LeasedRequest, OutcomesAnswer, OutcomesCall } from '../../shared/driver-protocol.ts';
import type { Log } from '../../shared/log.ts';
import type { Capacity } from './capacity.ts';
import { endInstance } from './expiry.ts';
import { acceptFirstSignatures, restOf } from './first-signatures.ts';
import { createGivenLeases } from './given-leases.ts';
import type { HeldRows } from './held-rows.ts';
import type { HintSender } from './hints.ts';
import { type DriverNode, renew, take, takesWork } from './lease.ts';
import type { EndLeasesAndTell } from './lease-ends.ts';
import { complete } from './outcomes.ts';
import type { Presence } from './presence.ts';
import { type WaitingDrivers, waitForWork } from './waiting-drivers.ts';

/** The queue as the driver's routes see it. */
export interface DriverQueue {
  /**
   * Renews, takes back, and gives work; held open up to `waitMs` when there is none.
   * @param gone fires when the caller's connection ends: the call is then no longer in flight.
   */
  lease(node: DriverNode, call: LeaseCall, gone: AbortSignal): Promise<readonly LeasedRequest[]>;
  outcomes(node: DriverNode, call: OutcomesCall): Promise<OutcomesAnswer>;
  release(node: DriverNode, instance: string): Promise<void>;
  /** Answers every waiting lease call with what there is, now and from now on, without waiting: this process stops. */
  dismissDrivers(): void;
}

export interface DriverSideParts {
  readonly relaxed: pg.Pool;
  readonly durable: pg.Pool;
  readonly capacity: Capacity;
  readonly presence: Presence;
  readonly drivers: WaitingDrivers;
  readonly hints: HintSender;
  readonly heldRows: HeldRows;
  readonly endLeases: EndLeasesAndTell;
  readonly pinned: ReadonlyMap<string, KeyObject>;
  readonly log: Log;
}

export function createDriverSide(parts: DriverSideParts): DriverQueue {
  const { relaxed, durable, capacity, presence, drivers, hints, heldRows, endLeases, log } = parts;
  const given = createGivenLeases();
  const calls = new Map<string, { readonly superseded: AbortController; readonly done: Promise<unknown> }>();

  const workCameBack = (): void => {
    drivers.work();
    hints.work();
  };

  async function judgeOutcomes(node: DriverNode, call: OutcomesCall): Promise<OutcomesAnswer> {
    const signed = await acceptFirstSignatures(durable, node, call);
    heldRows.finished([...signed.values()]);
    const accepted = [...signed.keys()].map((id) => ({ id, acknowledgement: 'accepted' as const }));
    const rest = restOf(call, signed);
    if (rest.length === 0) return { outcomes: accepted };
    const judged = await complete(durable, parts.pinned, node, { ...call, outcomes: rest });
    const { finished, requeued } = judged;
    const acknowledgements = [...accepted, ...judged.acknowledgements];
    heldRows.finished(finished);
    if (requeued > 0) workCameBack();
    for (const { id, acknowledgement } of acknowledgements) {
      if (acknowledgement !== 'conflict') continue;
      log.error({ requestId: id, node: node.name }, 'outcome refused: it contradicts what is known');
    }
    return { outcomes: acknowledgements };
  }

  return {
    async lease(node, call, gone) {
      // One call at a time per instance. A newer one means that the answer to the older one is lost: what that one
      // still takes must be the instance's before the newer one says what it holds.
      const older = calls.get(call.instance);
      older?.superseded.abort();
      const superseded = new AbortController();
      const over = AbortSignal.any([gone, superseded.signal]);
      const answer = (async () => {
        await older?.done.catch(() => {});
        if (!given.isSettled(node, call)) {
          const returned = await renew(relaxed, node, call);
          given.renewed(node, call);
          if (returned > 0) workCameBack();
        }
        if (takesWork(call)) capacity.note(node.keyStore, call.capabilities);
        const { instance, capabilities, max } = call;
        if (max === 0) {
          drivers.hasNoRoom(instance);
          return [];
        }
        const asks = { instance, capabilities, max, keyStore: node.keyStore };
        const work = await waitForWork(drivers, asks, over, call.waitMs, () => take(relaxed, node, call));
        given.gave(
          instance,
          work.map(({ id }) => id),
        );
        // Nobody hears the answer: the next call says what is held, and is asked for.
        if (over.aborted) given.forget(instance);
        return work;
      })();
      calls.set(call.instance, { superseded, done: answer });
      presence.enter(call.instance);
      try {
        return await answer;
      } finally {
        presence.leave(call.instance);
        if (calls.get(call.instance)?.superseded === superseded) calls.delete(call.instance);
      }
    },

    async outcomes(node, call) {
      const answer = await judgeOutcomes(node, call);
      given.acknowledged(
        call.instance,
        answer.outcomes.map(({ id }) => id),
      );
      return answer;
    },

    async release(node, instance) {
      given.forget(instance);
      if (!(await endInstance(relaxed, node.name, instance))) return;
      given.forget(instance);
      const requests = await endLeases(instance);
      log.info({ node: node.name, instance, requests }, 'instance released');
      workCameBack();
    },

    dismissDrivers: drivers.dismiss,
  };
}
