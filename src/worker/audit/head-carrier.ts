import type { SignedHead } from '../../shared/audit/signed-head.ts';
import type { AuditHeadAnswer } from '../../shared/driver-protocol.ts';
import type { Log } from '../../shared/log.ts';
import type { ApiClient } from '../api-client.ts';
import type { Count } from '../metrics.ts';

/**
 * Takes signed heads to the API, each with a call that is made anyway. One is on its way at a time, and the same again
 * until the API has answered for it: so an API that sees an older head than it knows, or another one of the same number,
 * sees a chain that was cut or forked, and never one that was only overtaken.
 */
export interface HeadCarrier {
  carry<Answer extends { readonly auditHead?: AuditHeadAnswer | undefined }>(
    call: (auditHead: SignedHead | undefined) => Promise<Answer>,
  ): Promise<Answer>;
  /** Newer than all before; one that waits is replaced by it. */
  give(head: SignedHead): void;
  /** The API has not answered for all of them. */
  readonly waiting: boolean;
}

/** The API as a worker sees it, with heads on every call that has room for one. */
export function carryingHeads(api: ApiClient, { carry }: HeadCarrier): ApiClient {
  return {
    lease: (call, signal) => carry((auditHead) => api.lease({ ...call, auditHead }, signal)),
    report: (outcomes, signal) => carry((auditHead) => api.report(outcomes, signal, auditHead)),
  };
}

export function createHeadCarrier(count: Count, log: Log): HeadCarrier {
  let newest: SignedHead | undefined;
  /** What a call took along whose answer is not there, or did not speak of it (an API of the version before). */
  let unanswered: SignedHead | undefined;
  let onItsWay = false;

  function answered(head: SignedHead, answer: AuditHeadAnswer): void {
    if (answer === undefined) return;
    unanswered = undefined;
    if (newest === head) newest = undefined;
    if (answer === 'stored') return;
    count('audit_heads_refused');
    const { chain, sequence } = head;
    log.error({ code: 'AUDIT_HEAD_REFUSED', chain, sequence }, 'the API refuses the head of this audit chain');
  }

  return {
    async carry(call) {
      const head = onItsWay ? undefined : (unanswered ?? newest);
      if (head === undefined) return await call(undefined);
      onItsWay = true;
      unanswered = head;
      try {
        const answer = await call(head);
        answered(head, answer.auditHead);
        return answer;
      } finally {
        onItsWay = false;
      }
    },
    give(head) {
      newest = head;
    },
    get waiting() {
      return newest !== undefined;
    },
  };
}
