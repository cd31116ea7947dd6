import type { LeaseCall, LeasedRequest } from '../../shared/driver-protocol.ts';

/** A lease call that waits for work. */
export interface WaitingCall {
  readonly asks: Pick<LeaseCall, 'instance' | 'capabilities' | 'max'> & { readonly keyStore: string };
  /** Takes work for this call from the queue; an empty list when there is none. */
  readonly take: () => Promise<readonly LeasedRequest[]>;
  /** Work may be on its way to this call: it is not over before that is known. */
  readonly expect: (known: Promise<unknown>) => void;
  /** Answers the call. */
  readonly answer: (requests: readonly LeasedRequest[]) => void;
}
