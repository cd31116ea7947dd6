import { createHash } from 'node:crypto';
import { approvedCredentials, type PinnedCredentials } from '../../shared/credential-list/credential-list.ts';
import { asCodedError, CodedError } from '../../shared/errors.ts';
import { aboutThaw, type Freeze } from '../../shared/freezes/freeze.ts';
import type { Log } from '../../shared/log.ts';
import type { Operators } from '../../shared/orders/operators.ts';
import { signedOrder } from '../../shared/orders/order.ts';
import { verifyApproval } from '../../shared/orders/verify-order.ts';
import { DatabaseLost, type DriverDatabase } from '../database.ts';
import type { LocalPolicy } from './local-policy.ts';
import { type PolicyRows, selectPolicy } from './policy-rows.ts';

/** What this worker holds to, as it was read last. */
export interface Policy {
  readonly credentials: PinnedCredentials | undefined;
  /** Ids of what is frozen. */
  readonly frozen: readonly Freeze[];
  /** How far this machine's clock is ahead of the database's; negative: behind. */
  readonly clockAheadMs: number;
}

export interface PolicyState {
  /** Not older than half a second. @throws DatabaseLost */
  current(): Promise<Policy>;
  /** As it was read last. */
  readonly known: Policy;
  stop(): void;
}

export interface PolicyStateParts {
  readonly keyStore: string;
  /** Without operators anybody's thaw counts, and no list does. */
  readonly operators: Operators | undefined;
  readonly database: Pick<DriverDatabase, 'query'>;
  readonly local: LocalPolicy;
  readonly log: Log;
}

/** A freeze must hold on every node within a second: read so often, and never believed for longer than `oldestMs`. */
const everyMs = 350;
const oldestMs = 500;

/**
 * Reads lists, freezes and thaws from the driver database, believes what the operators signed, and remembers what it has
 * seen where no database reaches. Does not fail for what rows say: a bad row is an alarm, and what held before holds on.
 */
export function startPolicyState(parts: PolicyStateParts): PolicyState {
  const { keyStore, operators, database, local, log } = parts;
  const freezes = new Map<string, Freeze>(local.seen.frozen.map((freeze) => [freeze.id, freeze]));
  /** Freezes whose thaw was good, and thaws that were not; each is told once. */
  const thawed = new Set<string>();
  const toldThaws = new Set<string>();
  const badLists = new Set<number>();
  let highest = local.seen.credentialList;
  let known: Policy = { credentials: undefined, frozen: [...freezes.values()], clockAheadMs: 0 };
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<Policy> | undefined;
  let stopped = false;

  async function read(): Promise<Policy> {
    const startedAt = performance.now();
    // From the highest on where it is not loaded yet, from the next on where it is.
    const above = (highest?.version ?? 0) + (known.credentials === undefined ? 0 : 1);
    const rows = await selectPolicy(database, above, [...badLists]);
    const credentials = newestGood(rows.lists) ?? known.credentials;
    takeFreezes(rows);
    const frozen = [...freezes.values()];
    // On this node's disk before anything is decided by it.
    local.note({ frozen, ...(highest === undefined ? {} : { credentialList: highest }) });
    readAt = startedAt;
    known = { credentials, frozen, clockAheadMs: Date.now() - rows.clockMs };
    return known;
  }

  function newestGood(lists: PolicyRows['lists']): PinnedCredentials | undefined {
    if (operators === undefined) return undefined;
    for (const { version, list, order } of lists) {
      try {
        const credentials = approvedCredentials(list, signedOrder.parse(order), keyStore, operators);
        const sha256 = createHash('sha256').update(list, 'utf8').digest('hex');
        if (credentials.version !== version) throw new CodedError('CREDENTIAL_LIST_INVALID', `it is not ${version}`);
        if (highest?.version === version && highest.sha256 !== sha256)
          throw new CodedError('CREDENTIAL_LIST_INVALID', 'another list of this version was in force here');
        highest = { version, sha256 };
        log.info({ version, credentials: credentials.size }, 'list of credentials in force');
        return credentials;
      } catch (error) {
        badLists.add(version);
        log.error({ version, cause: asCodedError(error).message }, 'list of credentials is not good');
      }
    }
    return undefined;
  }

  function takeFreezes(rows: PolicyRows): void {
    for (const { freeze, order } of rows.thaws) {
      if (thawed.has(freeze) || !isGoodThaw(freeze, order)) continue;
      thawed.add(freeze);
      if (freezes.delete(freeze)) log.info({ freeze }, 'thawed');
    }
    for (const freeze of rows.freezes) {
      if (freezes.has(freeze.id) || thawed.has(freeze.id)) continue;
      freezes.set(freeze.id, freeze);
      log.warn({ freeze: freeze.id, scope: freeze.scope, subject: freeze.subject }, 'frozen');
    }
  }

  function isGoodThaw(freeze: string, order: unknown): boolean {
    if (operators === undefined) return true;
    try {
      verifyApproval(signedOrder.parse(order), { keyStore, about: aboutThaw(freeze) }, operators);
      return true;
    } catch (error) {
      if (!toldThaws.has(freeze)) log.error({ freeze, cause: asCodedError(error).message }, 'thaw is not good');
      toldThaws.add(freeze);
      return false;
    }
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
    }, everyMs);
  }

  let timer: NodeJS.Timeout;
  schedule();
  return {
    current: async () => (performance.now() - readAt <= oldestMs ? known : await readOnce()),
    get known() {
      return known;
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
