import { approvedCredentials, type PinnedCredentials } from '../../shared/credential-list/credential-list.ts';
import { approvedClaim, claimsPage, type ListClaim } from '../../shared/credential-list/list-claims.ts';
import { asCodedError, CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { ClockReading } from '../../shared/orders/clock.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import type { SignedOrder } from '../../shared/orders/order.ts';
import type { OrderTime } from '../../shared/orders/order-time.ts';
import { createQuietLog } from '../../shared/quiet-log.ts';
import type { SeenPolicy } from './local-policy.ts';

/** The list of credentials in force, as this worker believes it: never an older one than it has seen. */
export interface Lists {
  /**
   * @returns whether there may be more claims, which must be taken before anything is decided: a good list may be among
   * them, behind any number of bad ones. @throws what `textOf` throws
   */
  take(claims: readonly ListClaim[], clock: ClockReading): Promise<boolean>;
  readonly inForce: PinnedCredentials | undefined;
  /** The newest that was ever in force on this node. */
  readonly highest: SeenPolicy['credentialList'];
  /**
   * The lowest version that is of use, and the claims that are left alone now.
   * @param atMs when this reading began, on this process's clock: what it looked at it does not look at again.
   */
  wanted(atMs: number): { readonly above: number; readonly except: readonly string[] };
}

export interface ListsParts {
  readonly keyStore: string;
  /** Without operators there is no list. */
  readonly operators: Operators | undefined;
  readonly remembered: SeenPolicy['credentialList'];
  /** Versions below it are not believed, whoever signed them. */
  readonly leastVersion: number;
  readonly timeOf: (signed: SignedOrder, attestations: readonly string[], clock: ClockReading) => OrderTime;
  /** The text of a claim; undefined where it has another hash. */
  readonly textOf: (id: string, sha256: string) => Promise<string | undefined>;
  /** An order is obeyed from now on that no worker has attested. */
  readonly onUnattested: (signed: SignedOrder) => void;
  readonly log: Log;
}

/** A list whose order is not good now is looked at again so much later: its attestation may have come. */
const laterMs = 2_000;
/** More bad ones than these are an attack: they are counted, and no longer told one by one. */
const mostTold = 100;

export function createLists(parts: ListsParts): Lists {
  const { keyStore, operators, remembered, leastVersion, timeOf, textOf, onUnattested, log } = parts;
  const quiet = createQuietLog(log);
  let inForce: PinnedCredentials | undefined;
  let highest = remembered;
  /** Ids of claims that are not good, and until when they are left alone, on this process's clock. */
  const refused = new Map<string, number>();
  const told = new Set<string>();

  function refuse({ id, version }: ListClaim, error: unknown, forMs: number): void {
    refused.set(id, performance.now() + forMs);
    const cause = asCodedError(error).message;
    // Of one that is looked at again the moment in the sentence is another each time.
    const once = `${id} ${forMs === Number.POSITIVE_INFINITY}`;
    if (told.has(once)) return;
    if (told.size < mostTold) {
      told.add(once);
      log.error({ version, cause }, 'list of credentials is not good');
    } else quiet.warn({ code: 'CREDENTIAL_LIST_INVALID', version, cause }, 'one more list of credentials is not good');
  }

  /** @returns undefined for a claim that is not good now; that is told. */
  function approved(claim: ListClaim, by: Operators, clock: ClockReading) {
    try {
      const { signed, sha256 } = approvedClaim(claim, keyStore, by);
      const wasHere = highest?.version === claim.version;
      if (wasHere && highest?.sha256 !== sha256)
        throw new CodedError('CREDENTIAL_LIST_INVALID', 'another list of this version was in force here');
      const time = timeOf(signed, claim.attestations, clock);
      // What was in force here was obeyed in its time, whatever the database has lost since.
      if (!('refused' in time) || wasHere) return { signed, sha256, time };
      refuse(claim, time.refused, laterMs);
    } catch (error) {
      refuse(claim, error, Number.POSITIVE_INFINITY);
    }
    return undefined;
  }

  async function takeOne(claim: ListClaim, by: Operators, clock: ClockReading): Promise<boolean> {
    const found = approved(claim, by, clock);
    if (found === undefined) return false;
    const { signed, sha256, time } = found;
    const { id, version } = claim;
    const text = await textOf(id, sha256);
    try {
      if (text === undefined) throw new CodedError('CREDENTIAL_LIST_INVALID', 'it is not the one that was approved');
      inForce = approvedCredentials(text, signed, keyStore, by);
    } catch (error) {
      refuse(claim, error, Number.POSITIVE_INFINITY);
      return false;
    }
    if ('refused' in time || time.vouchedBy === 'clock') onUnattested(signed);
    highest = { version, sha256 };
    log.info({ version, credentials: inForce.size }, 'list of credentials in force');
    return true;
  }

  return {
    async take(claims, clock) {
      if (operators === undefined) return false;
      // The highest version comes first: those after one that is good are older.
      for (const claim of claims) if (await takeOne(claim, operators, clock)) return false;
      return claims.length === claimsPage;
    },
    get inForce() {
      return inForce;
    },
    get highest() {
      return highest;
    },
    wanted(atMs) {
      return {
        // From the highest on where it is not loaded yet, from the next on where it is.
        above: Math.max(leastVersion, (highest?.version ?? 0) + (inForce === undefined ? 0 : 1)),
        except: [...refused].flatMap(([id, until]) => (until > atMs ? [id] : [])),
      };
    },
  };
}
