import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import type { Log } from '../shared/log.ts';
import type { ClusterTurns } from './cluster/turns.ts';
import { planRollOut, rollOut } from './roll-out.ts';
import type { Supervisor } from './supervisor.ts';

/** One roll-out at a time: another configuration ends the one before. */
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
  const { supervisor, log } = parts;
  let rolling = new AbortController();
  let ended: Promise<void> = Promise.resolve();
  let stopped = false;
  return {
    async begin(wanted) {
      rolling.abort();
      // What it was taking out is gone then. A slot that is half gone could neither be kept nor be added.
      await ended;
      if (stopped) return;
      rolling = new AbortController();
      const running = supervisor.slots().map((slot) => slot.configuration.name);
      ended = rollOut(planRollOut(running, wanted), parts, rolling.signal).catch((error) =>
        log.error({ cause: (error as Error).message }, 'reload failed'),
      );
    },
    stop() {
      stopped = true;
      rolling.abort();
    },
  };
}
