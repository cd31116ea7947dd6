import type { DatabaseConfiguration } from '../../shared/configuration/sections.ts';
import { createPool } from '../../shared/database/pool.ts';
import type { Log } from '../../shared/log.ts';
import { type ClusterView, createMembership } from './membership.ts';
import type { NodeSlot } from './nodes.ts';
import { type PinClear, recentPinClears } from './pin-clears.ts';
import { clusterPool, type Self } from './statement.ts';
import { type ClusterTurns, createClusterTurns } from './turns.ts';

/** This node's membership and turns over one pool of two connections. */
export interface Cluster {
  readonly turns: ClusterTurns;
  /** Operators’ orders not older than this. Rejects where the database does not answer. */
  pinClears(withinMs: number): Promise<readonly PinClear[]>;
  view(): ClusterView;
  start(): void;
  /** Leaves, within about a second or without having told anybody. */
  stop(): Promise<void>;
}

const leaveMs = 1_000;

/** @throws SECRET_FILE_* for the password file */
export function createCluster(
  database: DatabaseConfiguration,
  self: Self,
  slots: () => readonly NodeSlot[],
  log: Log,
): Cluster {
  const pool = createPool(database, { applicationName: `hsm-driver primary ${self.node}`, ...clusterPool }, log);
  const membership = createMembership({ pool, self, slots, log });
  const turns = createClusterTurns({
    pool,
    self,
    leaderlessMs: () => membership.leaderlessMs(),
    onAsked: () => membership.poke(),
    log,
  });
  return {
    turns,
    pinClears: (withinMs) => recentPinClears(pool, withinMs),
    view: () => membership.view(),
    start: () => membership.start(),
    async stop() {
      const left = membership.stop().then(() => pool.end());
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, leaveMs);
      await Promise.race([left.catch(() => {}), late]);
      clearTimeout(timer);
    },
  };
}
