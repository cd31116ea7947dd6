import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import type { Log } from '../shared/log.ts';
import { type ClusterTurns, replacingWorkers, type Turn } from './cluster/turns.ts';
import { planRollOut, rollOut } from './roll-out.ts';
import type { Supervisor } from './supervisor.ts';

/**
 * One roll-out at a time: another configuration ends the one before, and keeps its turn. Whoever mends a node that a reload
 * has cost a worker must not have to wait for others, which would make the same mistake first.
 */
export interface RollOuts {
  /** Resolves when it has begun, which may be some seconds later. */
  begin(wanted: readonly SlotConfiguration[]): Promise<void>;
  stop(): void;
}

export function createRollOuts(parts: {
  readonly supervisor: Supervisor;
  readonly clusterTurns: ClusterTurns;
  readonly log: Log;
}): RollOuts {
  const { supervisor, clusterTurns, log } = parts;
  let rolling = new AbortController();
  let ended: Promise<void> = Promise.resolve();
  let turn: Turn | undefined;
  const lost = new Map<string, { readonly leased: boolean }>();
  let stopped = false;

  async function takeTurn(signal: AbortSignal): Promise<void> {
    if (turn !== undefined) return;
    const taken = await clusterTurns.take(replacingWorkers, '', signal);
    if (signal.aborted) taken.end();
    else turn = taken;
  }

  function endTurn(): void {
    turn?.end();
    turn = undefined;
  }

  async function roll(wanted: readonly SlotConfiguration[], signal: AbortSignal): Promise<void> {
    const running = supervisor.slots().map((slot) => slot.configuration.name);
    try {
      await rollOut(planRollOut(running, wanted), { supervisor, turn: takeTurn, lost, log }, signal);
    } catch (error) {
      log.error({ cause: (error as Error).message }, 'reload failed');
    }
    if (!signal.aborted) endTurn();
  }

  return {
    async begin(wanted) {
      rolling.abort();
      // What it was taking out is gone then. A slot that is half gone could neither be kept nor be added.
      await ended;
      if (stopped) return;
      rolling = new AbortController();
      ended = roll(wanted, rolling.signal);
    },
    stop() {
      stopped = true;
      rolling.abort();
      endTurn();
    },
  };
}
