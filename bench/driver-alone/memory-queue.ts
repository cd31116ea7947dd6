import { randomBytes, randomUUID } from 'node:crypto';
import type { LeasedRequest, Outcome } from '../../src/shared/driver-protocol.ts';
import { type Curve, type KeyType, schemeOf } from '../../src/shared/keys.ts';
import type { ApiClient } from '../../src/worker/api-client.ts';

/** A signing API in memory: never out of work while it is open, answers at once. What is left is the driver alone. */
export interface MemoryQueue {
  readonly api: ApiClient;
  /** From now on there is such work, until `close`. */
  open(work: Work): void;
  close(): void;
  /** Every outcome, as it arrives. */
  onOutcome: (outcome: Outcome) => void;
  /** Resolves when everything that was handed out has its outcome. */
  drained(): Promise<void>;
}

export type Work =
  | { readonly kind: 'sign'; readonly curve: Curve; readonly keyIds: readonly string[] }
  | { readonly kind: 'generate'; readonly curve: Curve; readonly count: number };

export const organisation = 'or-bench';
const leaseMs = 15_000;
const pollMs = 20;

export function createMemoryQueue(): MemoryQueue {
  let work: Work | undefined;
  let handedOut = 0;
  const out = new Set<string>();
  let empty: (() => void) | undefined;

  function next(): LeasedRequest | undefined {
    if (work === undefined) return undefined;
    const type = { scheme: schemeOf(work.curve), curve: work.curve } as KeyType;
    const base = { lease: randomUUID(), attempt: 1, leaseMs, organisation, type };
    handedOut += 1;
    switch (work.kind) {
      case 'sign': {
        const keyId = work.keyIds[handedOut % work.keyIds.length] as string;
        const digests = [randomBytes(32).toString('hex')];
        return { ...base, id: `sig-${randomUUID()}`, keyId, kind: 'Sign', digests, lookUp: false };
      }
      case 'generate': {
        if (handedOut > work.count) return undefined;
        const id = `key-${randomUUID()}`;
        return { ...base, id, keyId: id, kind: 'GenerateKey' };
      }
      default:
        return work satisfies never;
    }
  }

  async function lease(max: number, waitMs: number, signal?: AbortSignal): Promise<LeasedRequest[]> {
    const requests: LeasedRequest[] = [];
    const until = performance.now() + waitMs;
    for (;;) {
      while (requests.length < max) {
        const request = next();
        if (request === undefined) break;
        out.add(request.id);
        requests.push(request);
      }
      if (requests.length > 0 || performance.now() >= until || signal?.aborted === true) return requests;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  const queue: MemoryQueue = {
    api: {
      lease: async ({ max, waitMs }, signal) => ({ requests: await lease(max, waitMs, signal), malformed: [] }),
      async report(outcomes) {
        for (const outcome of outcomes) {
          out.delete(outcome.id);
          queue.onOutcome(outcome);
        }
        if (out.size === 0) empty?.();
        return { outcomes: outcomes.map(({ id }) => ({ id, acknowledgement: 'accepted' })) };
      },
    },
    open(next) {
      work = next;
      handedOut = 0;
    },
    close() {
      work = undefined;
    },
    onOutcome: () => {},
    async drained() {
      if (out.size === 0) return;
      await new Promise<void>((resolve) => {
        empty = resolve;
      });
    },
  };
  return queue;
}
