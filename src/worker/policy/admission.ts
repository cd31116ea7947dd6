import type { SignatureKind } from '../../shared/chains/signature-body.ts';
import type { LeasedGenerateKey, LeasedRequest, LeasedSign } from '../../shared/driver-protocol.ts';
import type { Log } from '../../shared/log.ts';
import { type ClockTime, clockDoubt, clockText, isClockDoubtful } from '../../shared/orders/clock.ts';
import { createQuietLog } from '../../shared/quiet-log.ts';
import type { PolicyReport } from '../../shared/worker-report.ts';
import type { Count } from '../metrics.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import { createContentCheck } from './content-check.ts';
import { refuseKeyAuthority } from './generate-key-authority.ts';
import type { Policy, PolicyState } from './policy-state.ts';
import { type Doubt, isRefusal, type Refusal, refusal } from './refusal.ts';
import { refuseSignAuthority } from './sign-authority.ts';
import type { AuthorityRules } from './user-action.ts';

export interface AdmissionRules {
  /** What is done with a request that no pinned credential authorised: nothing, a report, a refusal. */
  readonly mode: 'off' | 'report' | 'enforce';
  readonly maxAgeMs: number;
  /** Whether key requests that name no key store are for this one. */
  readonly primary: boolean;
  /** Kinds of signature bodies that the key store signs; undefined: all. */
  readonly kinds: ReadonlySet<SignatureKind> | undefined;
}

/** Whether a request may go to the HSM, as far as it does not depend on the HSM. */
export interface Admission {
  /** What is decided by, from now on. @throws DatabaseLost */
  current(): Promise<AdmissionDecisions>;
  /** False while this node must not take work: it could only refuse it. */
  readonly mayTake: boolean;
  /** For `status`. */
  report(): PolicyReport;
}

export interface AdmissionDecisions {
  /** Whatever was done for it before: nothing leaves the driver for what is frozen. */
  frozen(request: LeasedRequest): Refusal | undefined;
  /**
   * For what was not done before: a second delivery gets what there is. What is doubted goes to the HSM no more than what
   * is refused.
   */
  sign(request: LeasedSign, key: WrappedKey): Promise<Refusal | Doubt | undefined>;
  generateKey(request: LeasedGenerateKey): Refusal | Doubt | undefined;
}

export interface AdmissionParts {
  readonly keyStore: string;
  readonly rules: AdmissionRules;
  readonly state: Pick<PolicyState, 'current' | 'known'>;
  readonly readClock: () => ClockTime;
  /** A request was doubted: `mayTake` is false until the clock is believed again. */
  readonly onDoubt: () => void;
  readonly count: Count;
  readonly log: Log;
}

/** So many wallets are remembered; one that was forgotten is checked again. */
const mostWallets = 20_000;

export function createAdmission({ keyStore, rules, state, readClock, onDoubt, count, log }: AdmissionParts): Admission {
  const quiet = createQuietLog(log);
  const { mode, kinds, maxAgeMs, primary } = rules;
  const signContent = createContentCheck(mode !== 'off' || kinds !== undefined);
  let wallets = { version: 0, known: new Set<string>() };

  /** Refuses, or only says that it would have. */
  function judge(request: LeasedRequest, refused: Refusal | undefined): Refusal | undefined {
    count('authorisations_checked');
    if (refused === undefined) return undefined;
    count('authorisations_refused');
    if (mode === 'enforce') return refused;
    const { id: requestId, keyId, organisation } = request;
    quiet.warn({ code: refused.refused, cause: refused.detail, requestId, keyId, organisation }, 'would be refused');
    return undefined;
  }

  /** A request is not to blame for this node's clock: nothing is signed by it, and another node judges the request. */
  function doubt(policy: Policy, request: LeasedRequest, { offsetMs }: ClockTime): Doubt | undefined {
    const doubted = mode === 'enforce' ? doubtOf(policy, offsetMs) : undefined;
    if (doubted === undefined) return undefined;
    const { id: requestId, keyId, organisation } = request;
    quiet.warn({ code: 'AUTHORISATION_EXPIRED', cause: doubted, requestId, keyId, organisation }, 'given back');
    onDoubt();
    return { doubted };
  }

  function authorityRules({ credentials }: Policy, { nowMs }: ClockTime): AuthorityRules {
    const version = credentials?.version ?? 0;
    if (wallets.version !== version || wallets.known.size > mostWallets) wallets = { version, known: new Set() };
    return { credentials, maxAgeMs, nowMs };
  }

  function decisions(policy: Policy): AdmissionDecisions {
    return {
      frozen: (request) => refuseFrozen(policy, request, keyStore),
      async sign(request, key) {
        // A policy of kinds holds in every mode; the payload that it reads must then at least be what is signed.
        const kindsCount = kinds !== undefined || key.allowedKinds.length > 0;
        if (mode === 'off' && !kindsCount) return undefined;
        const content = await signContent(request, key, kinds);
        if (isRefusal(content) && !kindsCount) return judge(request, content);
        if (isRefusal(content)) {
          if (content.refused !== 'KIND_NOT_ALLOWED') count('authorisations_refused');
          return content;
        }
        if (mode === 'off') return undefined;
        // Read once: the clock that is not doubted is the one by which the age is told.
        const clock = readClock();
        const by = () => refuseSignAuthority(request, content, authorityRules(policy, clock), wallets.known);
        return doubt(policy, request, clock) ?? judge(request, refuseClock(policy) ?? by());
      },
      generateKey(request) {
        if (mode === 'off') return undefined;
        const store = { keyStore, primary };
        const clock = readClock();
        const by = () => refuseKeyAuthority(request, store, authorityRules(policy, clock));
        return doubt(policy, request, clock) ?? judge(request, refuseClock(policy) ?? by());
      },
    };
  }

  return {
    current: async () => decisions(await state.current()),
    get mayTake() {
      return mode !== 'enforce' || doubtOf(state.known, readClock().offsetMs) === undefined;
    },
    report() {
      const { credentials, frozen, clockAheadMs } = state.known;
      return {
        mode,
        ...(kinds === undefined ? {} : { kinds: [...kinds] }),
        ...(credentials === undefined
          ? {}
          : { credentialList: { version: credentials.version, credentials: credentials.size } }),
        frozen: frozen.map(({ id, scope, subject }) => ({ id, scope, subject })),
        clockAheadMs: Math.round(clockAheadMs),
      };
    },
  };
}

function refuseFrozen({ frozen }: Policy, request: LeasedRequest, keyStore: string): Refusal | undefined {
  if (frozen.length === 0) return undefined;
  const subjects = { key: request.keyId, organisation: request.organisation, 'key-store': keyStore };
  const freeze = frozen.find(({ scope, subject }) => subjects[scope] === subject);
  return freeze && refusal('FROZEN', `${freeze.scope} ${freeze.subject}, freeze ${freeze.id}`);
}

function doubtOf({ clockAheadMs, clockOffsetMs }: Policy, offsetMs: number): string | undefined {
  return clockDoubt({ aheadMs: clockAheadMs, offsetMs: clockOffsetMs }, offsetMs);
}

/** For a report only: where authorisations are enforced, the doubt comes first. */
function refuseClock({ clockAheadMs }: Policy): Refusal | undefined {
  return isClockDoubtful(clockAheadMs) ? refusal('AUTHORISATION_EXPIRED', clockText(clockAheadMs)) : undefined;
}
