import type { AuditChain } from '../../shared/audit/chain.ts';
import type { NamedHead } from '../../shared/audit/head.ts';
import type { SignedHead } from '../../shared/audit/signed-head.ts';
import type { Log } from '../../shared/log.ts';
import { createQuietLog } from '../../shared/quiet-log.ts';
import type { HsmResult } from '../hsm/jobs.ts';
import type { HeadCarrier } from './head-carrier.ts';

/**
 * Has the chain's head signed in the HSM while the chain grows. Each signed head becomes an entry itself, goes to the API
 * with the next call, and is written to the log once a minute: whoever cuts the chain's end would have to change all three.
 */
export interface HeadSigner {
  /** The last entry, signed and given to the carrier. */
  close(): Promise<void>;
}

export interface HeadSignerParts {
  readonly audit: AuditChain;
  readonly carrier: Pick<HeadCarrier, 'give'>;
  readonly signHead: (head: Omit<NamedHead, 'keyStore'>) => Promise<HsmResult<string>>;
  /** The HSM is well and the database answers. */
  readonly mayWork: () => boolean;
  readonly log: Log;
  /** A test’s own. */
  readonly pace?: HeadPace;
}

export interface HeadPace {
  /** How soon a head is signed when nothing was for a while. */
  readonly lookMs: number;
  /** How often at most: no load for an HSM. */
  readonly pauseMs: number;
  /** How often the newest head is written to the log. */
  readonly logMs: number;
}
const steady: HeadPace = { lookMs: 1_000, pauseMs: 5_000, logMs: 60_000 };

export function startHeadSigner(parts: HeadSignerParts): HeadSigner {
  const { audit, carrier, signHead, mayWork, log, pace = steady } = parts;
  const quiet = createQuietLog(log);
  /** Nothing behind this entry is in need of a signature. */
  let signedThrough = 0;
  let newest: SignedHead | undefined;
  let logged: SignedHead | undefined;
  let signedAt = Number.NEGATIVE_INFINITY;
  let signing: Promise<void> | undefined;

  async function signOnce(): Promise<void> {
    const { head, id: chain } = audit;
    if (head === undefined || head.sequence <= signedThrough) return;
    const signature = await signHead({ chain, ...head });
    if (!signature.ok) {
      const { code, message: cause } = signature;
      return quiet.warn({ code, cause }, 'audit head not signed');
    }
    const signed: SignedHead = { chain, ...head, signature: signature.value };
    newest = signed;
    signedAt = performance.now();
    carrier.give(signed);
    await audit.append({ kind: 'head-signed', head, signature: signed.signature });
    // Its own entry needs none, unless others came between.
    const own = head.sequence + 1;
    signedThrough = audit.head?.sequence === own ? own : head.sequence;
  }

  async function sign(): Promise<void> {
    signing ??= signOnce().finally(() => {
      signing = undefined;
    });
    // Without an entry of its own, the head was still given to the carrier.
    await signing.catch(() => {});
  }

  function writeToLog(): void {
    if (newest === undefined || newest === logged) return;
    logged = newest;
    log.info({ auditHead: newest }, 'audit head');
  }

  const timers = [
    setInterval(() => {
      if (mayWork() && performance.now() - signedAt >= pace.pauseMs) void sign();
    }, pace.lookMs),
    setInterval(writeToLog, pace.logMs),
  ];
  for (const timer of timers) timer.unref();

  return {
    async close() {
      for (const timer of timers) clearInterval(timer);
      await signing?.catch(() => {});
      await audit.append({ kind: 'closed' }).catch(() => {});
      await sign();
      writeToLog();
    },
  };
}
