import { randomUUID } from 'node:crypto';
import type { LeasedRequest } from '../../shared/driver-protocol.ts';
import { type Capability, capability } from '../../shared/keys.ts';
import { leaseMs } from './lease.ts';
import type { NewRequest } from './request.ts';
import type { WaitingCall } from './waiting-call.ts';

/** The lease that a request is inserted with. */
export interface HandOver {
  readonly call: WaitingCall;
  readonly instance: string;
  readonly lease: string;
}

/**
 * Which of the waiting calls gets which of the requests, spread evenly over those that can do it, so that two nodes share
 * a batch. Undefined: nobody waits for it.
 */
export function chooseHandOvers(
  calls: readonly WaitingCall[],
  requests: readonly NewRequest[],
): (HandOver | undefined)[] {
  const given = new Map<WaitingCall, number>();
  return requests.map((request) => {
    const needed: Capability = capability(request.kind, request.type.curve);
    let least: WaitingCall | undefined;
    for (const call of calls) {
      const { keyStore, capabilities, max } = call.asks;
      const count = given.get(call) ?? 0;
      if (keyStore !== request.keyStore || count >= max || !capabilities.includes(needed)) continue;
      if (least === undefined || count < (given.get(least) ?? 0)) least = call;
    }
    if (least === undefined) return undefined;
    given.set(least, (given.get(least) ?? 0) + 1);
    return { call: least, instance: least.asks.instance, lease: randomUUID() };
  });
}

/** What the driver is given: the same that lease.ts reads from the row. */
export function handedOver(request: NewRequest, { lease }: HandOver): LeasedRequest {
  const { id, keyId, type, authorisation } = request;
  const base = {
    ...{ id, lease, attempt: 1, leaseMs, queuedMs: 0, keyId, type, authorisation },
    organisation: request.requester.organisation,
  };
  switch (request.kind) {
    case 'GenerateKey':
      return { ...base, kind: 'GenerateKey' };
    case 'Sign':
      return {
        ...base,
        kind: 'Sign',
        digests: (request.digests ?? []).map((digest) => digest.toString('hex')),
        lookUp: request.externalId !== undefined,
      };
    default:
      return request.kind satisfies never;
  }
}
