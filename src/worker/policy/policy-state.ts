import type { KeyObject } from 'node:crypto';
import type { PinnedCredentials } from '../../shared/credential-list/credential-list.ts';
import type { Freeze } from '../../shared/freezes/freeze.ts';
import type { Log } from '../../shared/log.ts';
import type { ClockReading, ClockTime } from '../../shared/orders/clock.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import type { SignedOrder } from '../../shared/orders/order.ts';
import { orderTime } from '../../shared/orders/order-time.ts';
import { DatabaseLost, type DriverDatabase } from '../database.ts';
import { createFreezes } from './freezes.ts';
import { createLists } from './lists.ts';
import type { LocalPolicy } from './local-policy.ts';
import { selectClaimedText, selectPolicy } from './policy-rows.ts';

/** What this worker holds to, as it was read last. */
export interface Policy {
  readonly credentials: PinnedCredentials | undefined;
  /** Ids of what is frozen. */
  readonly frozen: readonly Freeze[];
  /** How far this machine's clock is ahead of the database's; negative: behind. */
  readonly clockAheadMs: number;
  /** How far it was then from the monotonic clock. */
  readonly clockOffsetMs: number;
}

export interface PolicyState {
  /** Not older than half a second. @throws DatabaseLost */
  current(): Promise<Policy>;
  /** As it was read last. */
  readonly known: Policy;
  /** Orders that this worker obeys and that no worker had attested when it saw them, until `attested`. */
  readonly unattested: readonly SignedOrder[];
  attested(order: SignedOrder): void;
  stop(): void;
}

export interface PolicyStateParts {
  readonly keyStore: string;
  /** Whose word, by this public key, an order's time is believed. */
  readonly attestationKey: KeyObject;
  /** Without operators anybody's thaw counts, and no list does. */
  readonly operators: Operators | undefined;
  /** Lists of lower versions are not believed. */
  readonly leastListVersion: number;
  readonly database: Pick<DriverDatabase, 'query'>;
  readonly local: LocalPolicy;
  readonly readClock: () => ClockTime;
  readonly log: Log;
}

/** A freeze must hold on every node within a second: read so often, and never believed for longer than `oldestMs`. */
export const policyReading = { everyMs: 350, oldestMs: 500 } as const;

/**
 * Reads lists, freezes and thaws from the driver database, believes what the operators signed, and remembers what it has
 * seen where no database reaches. Does not fail for what rows say: a bad row is an alarm, and what held before holds on.
 */
export function startPolicyState(parts: PolicyStateParts): PolicyState {
  const { operators, database, local, readClock, log } = parts;
  const unattested = new Map<string, SignedOrder>();
  const timeOf = ({ order }: SignedOrder, attestations: readonly string[], clock: ClockReading) =>
    orderTime(order, attestations, parts, clock);
  const onUnattested = (signed: SignedOrder) => void unattested.set(signed.order.id, signed);
  const common = { keyStore: parts.keyStore, operators, timeOf, onUnattested, log };
  const lists = createLists({
    ...common,
    remembered: local.seen.credentialList,
    leastVersion: parts.leastListVersion,
    textOf: (id, sha256) => selectClaimedText(database, id, sha256),
  });
  const freezes = createFreezes({ ...common, remembered: local.seen.frozen });
  let known: Policy = {
    credentials: undefined,
    frozen: freezes.frozen,
    clockAheadMs: 0,
    clockOffsetMs: readClock().offsetMs,
  };
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<Policy> | undefined;
  let stopped = false;

  async function read(): Promise<Policy> {
    const startedAt = performance.now();
    let clock: ClockReading & ClockTime;
    let more: boolean;
    do {
      const { above, except } = lists.wanted(startedAt);
      const rows = await selectPolicy(database, above, except);
      const time = readClock();
      clock = { ...time, aheadMs: time.nowMs - rows.clockMs };
      freezes.take(rows, clock);
      more = await lists.take(rows.claims, clock);
    } while (more);
    const { highest } = lists;
    // On this node's disk before anything is decided by it.
    local.note({ frozen: [...freezes.frozen], ...(highest === undefined ? {} : { credentialList: highest }) });
    readAt = startedAt;
    known = {
      credentials: lists.inForce,
      frozen: freezes.frozen,
      clockAheadMs: clock.aheadMs,
      clockOffsetMs: clock.offsetMs,
    };
    return known;
  }

  function readOnce(): Promise<Policy> {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  function schedule(): void {
    timer = setTimeout(() => {
      // The database says itself that it is lost; whoever needs the policy now is told so.
      const failed = (error: unknown): void => {
        if (!(error instanceof DatabaseLost)) log.error({ err: error }, 'policy not read');
      };
      void readOnce()
        .catch(failed)
        .finally(() => {
          if (!stopped) schedule();
        });
    }, policyReading.everyMs);
  }

  let timer: NodeJS.Timeout;
  schedule();
  return {
    current: async () => (performance.now() - readAt <= policyReading.oldestMs ? known : await readOnce()),
    get known() {
      return known;
    },
    get unattested() {
      return [...unattested.values()];
    },
    attested({ order }) {
      unattested.delete(order.id);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
