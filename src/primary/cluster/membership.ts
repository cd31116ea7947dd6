import type pg from 'pg';
import type { Log } from '../../shared/log.ts';
import {
  type Fence,
  type Lease,
  leaseMs,
  marginMs,
  readLease,
  renewLease,
  renewMs,
  resignLease,
  takeLease,
} from './leader.ts';
import { beat, type ClusterNode, leaveNodes, type NodeSlot, readNodes } from './nodes.ts';
import type { Self } from './statement.ts';
import { grantTurns } from './turns.ts';
import { type Verdict, verdictOf } from './verdict.ts';

/**
 * This node's part in the cluster, one loop: says that the node lives, reads who else does, leads when nobody else leads.
 * Signing depends on none of it: without the database the node goes on by itself.
 *
 *   follows   reads the lease; when it has run out, tries to take it          → leads
 *   leads     renews it, writes the verdict, grants turns                     → follows: another took it, or its own
 *             clock says that the lease may end before it could know
 */
export interface Membership {
  start(): void;
  view(): ClusterView;
  /** For how long no leader was seen; 0: there is one. */
  leaderlessMs(): number;
  /** Something waits for the leader: if that is this node, it looks now. */
  poke(): void;
  /** Resigns and leaves, within a second or not at all. */
  stop(): Promise<void>;
}

export interface ClusterView {
  /** False: the database did not answer; what follows is old. */
  readonly reachable: boolean;
  readonly leader?: { readonly node: string; readonly epoch: number; readonly self: boolean };
  readonly nodes: readonly ClusterNode[];
  readonly verdict?: Verdict;
}

export interface MembershipOptions {
  readonly pool: pg.Pool;
  readonly self: Self;
  readonly slots: () => readonly NodeSlot[];
  readonly log: Log;
}

const beatMs = 1_000;
/** While it leads it looks for turns to grant this often. */
const grantMs = 500;
/** Spreads the nodes that all see the same lease run out. */
const takeJitterMs = 200;
const viewLastsMs = 3_000;

export function createMembership({ pool, self, slots, log }: MembershipOptions): Membership {
  const stopped = new AbortController();
  let leading: { readonly fence: Fence; untilMs: number; renewedMs: number } | undefined;
  let nodes: readonly ClusterNode[] = [];
  let lease: Lease | undefined;
  let leaseReadMs = 0;
  let answeredMs = 0;
  let leaderSeenMs = performance.now();
  let lost = false;
  let beatenMs = Number.NEGATIVE_INFINITY;
  let doubles = 0;
  let alarms: readonly string[] = [];
  let wake: (() => void) | undefined;
  let loop: Promise<void> = Promise.resolve();

  /** By this node's own clock, which runs while it waits for an answer. */
  function leads(): boolean {
    return leading !== undefined && performance.now() < leading.untilMs;
  }

  function remainingMs(): number {
    return lease === undefined ? 0 : lease.remainingMs - (performance.now() - leaseReadMs);
  }

  async function look(): Promise<void> {
    if (performance.now() - beatenMs >= beatMs) {
      noteDouble(await beat(pool, self, slots()));
      beatenMs = performance.now();
      nodes = await readNodes(pool);
    }
    const asked = performance.now();
    lease = await readLease(pool);
    leaseReadMs = asked;
    answeredMs = performance.now();
    if (lease !== undefined && lease.remainingMs > 0) leaderSeenMs = answeredMs;
  }

  async function lead(): Promise<void> {
    if (leading !== undefined && !leads()) stepDown('its lease could not be renewed in time');
    if (leading === undefined) {
      if (lease === undefined || remainingMs() > 0) return;
      await take();
    }
    if (leading === undefined) return;
    const { fence, renewedMs } = leading;
    if (performance.now() - renewedMs >= renewMs) await renew(fence);
    if (leads()) await grantTurns(pool, fence);
  }

  async function take(): Promise<void> {
    const sent = performance.now();
    const epoch = await takeLease(pool, self);
    if (epoch === undefined) return;
    // Renewed at once: that writes this leader's first verdict.
    leading = {
      fence: { instance: self.instance, epoch },
      untilMs: sent + leaseMs - marginMs,
      renewedMs: Number.NEGATIVE_INFINITY,
    };
    leaderSeenMs = performance.now();
    log.info({ epoch }, 'leads the cluster');
  }

  async function renew(by: Fence): Promise<void> {
    const sent = performance.now();
    const verdict = verdictOf(nodes);
    if (!(await renewLease(pool, by, verdict))) return stepDown('another node leads');
    if (leading === undefined) return;
    leading.untilMs = sent + leaseMs - marginMs;
    leading.renewedMs = sent;
    leaderSeenMs = performance.now();
    tellAlarms(verdict.alarms);
  }

  function stepDown(why: string): void {
    log.warn({ epoch: leading?.fence.epoch, why }, 'leads the cluster no more');
    leading = undefined;
    alarms = [];
  }

  function tellAlarms(now: readonly string[]): void {
    for (const alarm of now) if (!alarms.includes(alarm)) log.warn({ alarm }, 'cluster alarm');
    for (const alarm of alarms) if (!now.includes(alarm)) log.info({ alarm }, 'cluster alarm is over');
    alarms = now;
  }

  /** Once is a restart of this node; again and again is somebody else. */
  function noteDouble(other: boolean): void {
    doubles = other ? doubles + 1 : 0;
    if (doubles === 3) log.error('another primary runs under this node’s name');
  }

  function noteAnswer(cause: unknown): void {
    const failed = cause !== undefined;
    if (failed === lost) return;
    lost = failed;
    if (failed) log.warn({ cause: (cause as Error).message }, 'cluster view lost; this node goes on by itself');
    else log.info('cluster view is back');
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      try {
        await look();
        await lead();
        noteAnswer(undefined);
      } catch (error) {
        if (leading !== undefined && !leads()) stepDown('the database did not answer in time');
        noteAnswer(error);
      }
      await pause();
    }
  }

  async function pause(): Promise<void> {
    if (stopped.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const tillTakeMs = Math.max(0, remainingMs()) + Math.random() * takeJitterMs;
    const timer = setTimeout(resolve, leads() ? grantMs : Math.min(beatMs, Math.max(tillTakeMs, takeJitterMs / 4)));
    wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  return {
    start() {
      loop = run();
    },
    view() {
      const reachable = answeredMs > 0 && performance.now() - answeredMs < viewLastsMs;
      const live = lease !== undefined && (leads() || remainingMs() > 0);
      return {
        reachable,
        nodes,
        ...(live && lease !== undefined ? { leader: { node: lease.node, epoch: lease.epoch, self: leads() } } : {}),
        ...(lease?.verdict == null ? {} : { verdict: lease.verdict }),
      };
    },
    leaderlessMs() {
      return leads() || remainingMs() > 0 ? 0 : performance.now() - leaderSeenMs;
    },
    poke() {
      if (leads()) wake?.();
    },
    async stop() {
      stopped.abort();
      wake?.();
      await loop;
      const { fence } = leading ?? {};
      leading = undefined;
      if (fence !== undefined) await resignLease(pool, fence).catch(() => {});
      await leaveNodes(pool, self).catch(() => {});
    },
  };
}
