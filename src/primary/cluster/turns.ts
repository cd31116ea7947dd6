import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from '../../shared/log.ts';
import { type Fence, fence } from './leader.ts';
import { isLive } from './nodes.ts';
import { run, type Self } from './statement.ts';

/**
 * Turns: the right to do something that only one in the cluster does at a time, granted by the leader in rows that name
 * it. For reconnecting to a shared HSM, and for replacing workers at a reload.
 */
export interface Turn {
  /** Idempotent. */
  end(): void;
}

export interface ClusterTurns {
  /**
   * Waits for the turn of `purpose`. Never rejects, and never waits for ever: a node goes on by itself where nobody can
   * grant turns, since signing depends on no leader. Resolves at once when `signal` is aborted.
   * Where a leader grants no turn for long it goes on without one, too, but not to replace workers: that can wait, and must
   * not happen in several places at once.
   */
  take(purpose: string, slot: string, signal: AbortSignal): Promise<Turn>;
}

export interface ClusterTurnsOptions {
  readonly pool: pg.Pool;
  readonly self: Self;
  /** For how long no leader was seen; 0: there is one. */
  readonly leaderlessMs: () => number;
  /** A turn was asked for: if this node leads, it looks at once. */
  readonly onAsked: () => void;
  readonly log: Log;
  /** Default: 30 s. */
  readonly patienceMs?: number;
}

/** Without a leader for this long a node goes on by itself, after a random pause. */
const leaderlessLimitMs = 10_000;
const aloneJitterMs = 3_000;
/** A leader that is there but grants nothing: many wait, and each of their attempts takes long. */
const usualPatienceMs = 30_000;
const askAgainMs = 300;
/** Who waits or has a turn says so this often. */
const holdMs = 1_000;
const longestSilence = "interval '5 seconds'";
/** Longer than any start that the watchdog allows: a turn that lasts longer is not given any more. */
const longestTurn = "interval '60 seconds'";
/**
 * Of a node that replaces its workers. Such a turn lasts as long as its node lives and says so: what is wrong with a new
 * configuration would be as wrong on the next node.
 */
export const replacingWorkers = 'replace a worker';

const ended: Turn = { end: () => {} };

export function createClusterTurns(options: ClusterTurnsOptions): ClusterTurns {
  const { pool, self, leaderlessMs, onAsked, log, patienceMs = usualPatienceMs } = options;

  async function ask(purpose: string, slot: string): Promise<{ readonly granted: boolean; readonly holder?: string }> {
    const [row] = await run<{ granted: boolean; holder: string | null }>(
      pool,
      `insert into turn (purpose, instance, slot, node) values ($1, $2, $3, $4)
       on conflict (purpose, instance, slot) do update set seen_at = clock_timestamp()
       returning granted_at is not null as granted,
         (select node from turn held where held.purpose = $1 and held.granted_at is not null limit 1) as holder`,
      [purpose, self.instance, slot, self.node],
    );
    return { granted: row?.granted === true, ...(row?.holder && { holder: row.holder }) };
  }

  /** An update only: what was given back must not come again. */
  async function hold(purpose: string, slot: string): Promise<void> {
    await run(pool, 'update turn set seen_at = clock_timestamp() where purpose = $1 and instance = $2 and slot = $3', [
      purpose,
      self.instance,
      slot,
    ]);
  }

  function held(purpose: string, slot: string): Turn {
    const holding = setInterval(() => hold(purpose, slot).catch(() => {}), holdMs);
    let over = false;
    return {
      end() {
        clearInterval(holding);
        if (!over) giveBack(purpose, slot);
        over = true;
      },
    };
  }

  function giveBack(purpose: string, slot: string): void {
    const key = [purpose, self.instance, slot];
    // Not repeated: what is left behind ends by itself, see grantTurns.
    run(pool, 'delete from turn where purpose = $1 and instance = $2 and slot = $3', key).then(onAsked, () => {});
  }

  return {
    async take(purpose, slot, signal) {
      const asked = performance.now();
      let told = false;
      for (let first = true; !signal.aborted; first = false) {
        const { granted, holder } = await ask(purpose, slot).catch(() => ({ granted: false, holder: undefined }));
        if (granted) return held(purpose, slot);
        if (first) onAsked();
        const alone = leaderlessMs() > leaderlessLimitMs;
        const tooLong = performance.now() - asked > patienceMs;
        if (alone || (tooLong && purpose !== replacingWorkers)) {
          log.debug({ slot, purpose, leader: !alone }, 'goes on without a turn');
          await pause(Math.random() * aloneJitterMs, signal);
          return held(purpose, slot);
        }
        if (tooLong && holder !== undefined && !told) {
          log.warn({ purpose, holder }, 'waits for its turn, which another node has');
          told = true;
        }
        await pause(askAgainMs, signal);
      }
      giveBack(purpose, slot);
      return ended;
    },
  };
}

/** Nothing to share with: each turn is granted at once. For a node without a cluster, and for tests. */
export const noTurns: ClusterTurns = { take: async () => ended };

/** Ends what nobody holds any more, then grants the oldest request of each purpose that nobody has the turn of. */
export async function grantTurns(pool: pg.Pool, by: Fence): Promise<number> {
  const me = [by.instance, by.epoch];
  await run(
    pool,
    `with ${fence}
     delete from turn where exists (select from fence) and (
       (granted_at < clock_timestamp() - ${longestTurn} and purpose <> $3)
       or seen_at < clock_timestamp() - ${longestSilence}
       or not exists (select from node where node.instance = turn.instance and ${isLive('node')}))`,
    [...me, replacingWorkers],
  );
  const granted = await run(
    pool,
    `with ${fence}, oldest as (
       select distinct on (purpose) purpose, instance, slot from turn waiting
       where granted_at is null
         and not exists (select from turn held where held.purpose = waiting.purpose and held.granted_at is not null)
       order by purpose, asked_at)
     update turn set granted_at = clock_timestamp(), epoch = $2
     from oldest
     where exists (select from fence) and (turn.purpose, turn.instance, turn.slot) = (oldest.purpose, oldest.instance, oldest.slot)
     returning turn.slot`,
    me,
  );
  return granted.length;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
