import { createHash } from 'node:crypto';
import { approvedCredentials, type PinnedCredentials } from '../../shared/credential-list/credential-list.ts';
import { asCodedError, CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import { type SignedOrder, signedOrder } from '../../shared/orders/order.ts';
import type { ClockReading } from './clock.ts';
import type { SeenPolicy } from './local-policy.ts';
import type { OrderTime } from './order-time.ts';
import type { PolicyRows } from './policy-rows.ts';

/** The list of credentials in force, as this worker believes it: never an older one than it has seen. */
export interface Lists {
  take(rows: PolicyRows['lists'], clock: ClockReading): void;
  readonly inForce: PinnedCredentials | undefined;
  /** The newest that was ever in force on this node. */
  readonly highest: SeenPolicy['credentialList'];
  /** The lowest version that is of use, and those that need not be read again now. */
  wanted(): { readonly above: number; readonly except: readonly number[] };
}

export interface ListsParts {
  readonly keyStore: string;
  /** Without operators there is no list. */
  readonly operators: Operators | undefined;
  readonly remembered: SeenPolicy['credentialList'];
  /** Versions below it are not believed, whoever signed them. */
  readonly leastVersion: number;
  readonly timeOf: (signed: SignedOrder, attestations: readonly string[], clock: ClockReading) => OrderTime;
  /** An order is obeyed from now on that no worker has attested. */
  readonly onUnattested: (signed: SignedOrder) => void;
  readonly log: Log;
}

/** A list whose order is not good now is looked at again so much later: its attestation may have come. */
const laterMs = 2_000;

type Found = PolicyRows['lists'][number];

export function createLists(parts: ListsParts): Lists {
  const { keyStore, operators, remembered, leastVersion, timeOf, onUnattested, log } = parts;
  let inForce: PinnedCredentials | undefined;
  let highest = remembered;
  /** Versions that are not good, and until when they are left alone, on this process's clock. */
  const refused = new Map<number, number>();
  const told = new Set<string>();

  /** @throws CREDENTIAL_LIST_INVALID, ORDER_REFUSED for what will never be good */
  function judge({ version, list, order, attestations }: Found, by: Operators, clock: ClockReading) {
    const { success, data: signed } = signedOrder.safeParse(order);
    if (!success) throw new CodedError('ORDER_REFUSED', 'it is none');
    const credentials = approvedCredentials(list, signed, keyStore, by);
    if (credentials.version !== version) throw new CodedError('CREDENTIAL_LIST_INVALID', `it is not ${version}`);
    const sha256 = createHash('sha256').update(list, 'utf8').digest('hex');
    const wasHere = highest?.version === version;
    if (wasHere && highest?.sha256 !== sha256)
      throw new CodedError('CREDENTIAL_LIST_INVALID', 'another list of this version was in force here');
    return { credentials, signed, sha256, wasHere, time: timeOf(signed, attestations, clock) };
  }

  function refuse(version: number, error: unknown, forMs: number): void {
    refused.set(version, performance.now() + forMs);
    const cause = asCodedError(error).message;
    // Of one that is looked at again the moment in the sentence is another each time.
    const once = `${version} ${forMs === Number.POSITIVE_INFINITY}`;
    if (!told.has(once)) log.error({ version, cause }, 'list of credentials is not good');
    told.add(once);
  }

  function takeOne(found: Found, by: Operators, clock: ClockReading): boolean {
    const { version } = found;
    try {
      const { credentials, signed, sha256, wasHere, time } = judge(found, by, clock);
      // What was in force here was obeyed in its time, whatever the database has lost since.
      if ('refused' in time && !wasHere) {
        refuse(version, time.refused, laterMs);
        return false;
      }
      if ('refused' in time || time.vouchedBy === 'clock') onUnattested(signed);
      highest = { version, sha256 };
      inForce = credentials;
      log.info({ version, credentials: credentials.size }, 'list of credentials in force');
      return true;
    } catch (error) {
      refuse(version, error, Number.POSITIVE_INFINITY);
      return false;
    }
  }

  return {
    take(rows, clock) {
      if (operators !== undefined) rows.some((found) => takeOne(found, operators, clock));
    },
    get inForce() {
      return inForce;
    },
    get highest() {
      return highest;
    },
    wanted() {
      const now = performance.now();
      return {
        // From the highest on where it is not loaded yet, from the next on where it is.
        above: Math.max(leastVersion, (highest?.version ?? 0) + (inForce === undefined ? 0 : 1)),
        except: [...refused].flatMap(([version, until]) => (until > now ? [version] : [])),
      };
    },
  };
}
