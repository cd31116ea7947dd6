import { z } from 'zod';
import type { SignedHead } from '../shared/audit/signed-head.ts';
import {
  type AuditHeadAnswer,
  type LeaseCall,
  type LeasedRequest,
  leaseAnswer,
  leasedRequest,
  type Outcome,
  type OutcomesAnswer,
  outcomesAnswer,
} from '../shared/driver-protocol.ts';
import type { ApiFailure, ApiTransport } from './api-transport.ts';
import type { BackOff } from './back-off.ts';

/** The driver protocol's calls, as a worker makes them. Every answer is checked before anything of it is used. */
export interface ApiClient {
  lease(call: Omit<LeaseCall, 'instance' | 'slot' | 'capabilities'>, signal?: AbortSignal): Promise<Leased>;
  report(outcomes: readonly Outcome[], signal?: AbortSignal, auditHead?: SignedHead): Promise<OutcomesAnswer>;
}

export interface Leased {
  readonly auditHead?: AuditHeadAnswer;
  readonly requests: readonly LeasedRequest[];
  /** Items that are not what the protocol says but can be named: each is answered alone, never the whole delivery. */
  readonly malformed: readonly { readonly id: string; readonly lease: string; readonly problem: string }[];
}

/** Beyond the time the API holds a call open. */
const patienceMs = 4_000;

const items = leaseAnswer.extend({ requests: z.array(z.unknown()) });
const named = z.object({ id: z.string().min(1).max(64), lease: z.uuid() });

export function createApiClient(
  transport: ApiTransport,
  identity: Pick<LeaseCall, 'instance' | 'slot' | 'capabilities'>,
): ApiClient {
  return {
    async lease(call, signal) {
      const { requests, auditHead } = await transport.post({
        path: '/driver/v1/lease',
        body: { ...identity, ...call },
        answer: items,
        patienceMs: call.waitMs + patienceMs,
        signal,
      });
      return { ...sortOut(requests), auditHead };
    },
    async report(outcomes, signal, auditHead) {
      return await transport.post({
        path: '/driver/v1/outcomes',
        body: { instance: identity.instance, outcomes, auditHead },
        answer: outcomesAnswer,
        patienceMs: 2 * patienceMs,
        signal,
      });
    },
  };
}

/** How long to wait before the next try: short while nobody answers, long where a person must act first. */
export function retryDelayMs(failure: ApiFailure, backOff: BackOff): number {
  return failure.kind === 'refused' ? 5_000 : backOff.next();
}

function sortOut(requests: readonly unknown[]): Leased {
  const good: LeasedRequest[] = [];
  const malformed: { id: string; lease: string; problem: string }[] = [];
  for (const item of requests) {
    const result = leasedRequest.safeParse(item);
    if (result.success) {
      good.push(result.data);
      continue;
    }
    const name = named.safeParse(item);
    const problem = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
    if (name.success) malformed.push({ ...name.data, problem });
  }
  return { requests: good, malformed };
}
