import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';
import type { WorkerState } from '../shared/worker-state.ts';
import { tokenInNode } from './slot-token.ts';
import type { StartUpTurns } from './start-up-turns.ts';
import { overdue, type WorkerSigns, watchdogLimits } from './watchdog.ts';
import type { WorkerHandle, WorkerListener } from './worker-handle.ts';

/** One worker process with its signs of life, from its start to its end: the watchdog's hand on it, and its start-up turn. */
export interface WatchedWorker {
  readonly pid: number | undefined;
  stop(): void;
  kill(): void;
  /** Where it has work in the HSM; one that starts or is suspect looks anyway. */
  suspectDevice(): void;
  /** See WorkerHandle. */
  askHsm(work: HsmWork): Promise<HsmWorkAnswer>;
  /** Kills it, once, when it hangs. */
  look(nowMs: number): void;
  /** It was not to blame for its silence. */
  forgive(nowMs: number): void;
}

export type WatchedListener = Pick<WorkerListener, 'onStarted' | 'onState' | 'onReport' | 'onDeviceFault' | 'onEnd'>;

export interface WatchedOptions {
  readonly slot: SlotConfiguration;
  readonly fork: (slot: string, listener: WorkerListener) => WorkerHandle;
  readonly startUpTurns: StartUpTurns;
}

export function startWatchedWorker(options: WatchedOptions, listener: WatchedListener): WatchedWorker {
  const { slot, startUpTurns } = options;
  const holder = {};
  const signs: { -readonly [Sign in keyof WorkerSigns]: WorkerSigns[Sign] } = {
    state: 'starting',
    startedAtMs: performance.now(),
    heardAtMs: undefined,
    oldestCallMs: 0,
    turnSinceMs: undefined,
  };
  let killed = false;
  let over = false;

  /** What a worker that has ended, or is not waited for any more, still says counts no more. */
  function whileItLives<Given extends unknown[]>(act: (...given: Given) => void): (...given: Given) => void {
    return (...given) => {
      if (!over) act(...given);
    };
  }

  const handle = options.fork(slot.name, {
    onTurnWanted: whileItLives(() =>
      startUpTurns.want(tokenInNode(slot), holder, () => {
        signs.turnSinceMs = performance.now();
        handle.grantTurn();
      }),
    ),
    onTurnDone: whileItLives(() => {
      signs.turnSinceMs = undefined;
      startUpTurns.end(holder);
    }),
    onHeartbeat: whileItLives((oldestCallMs: number) => {
      signs.heardAtMs = performance.now();
      signs.oldestCallMs = oldestCallMs;
    }),
    onState: whileItLives((state: WorkerState) => {
      signs.state = state;
      listener.onState(state);
    }),
    onStarted: whileItLives(listener.onStarted),
    onReport: whileItLives(listener.onReport),
    onDeviceFault: whileItLives(listener.onDeviceFault),
    onEnd: whileItLives((end) => {
      over = true;
      startUpTurns.end(holder);
      listener.onEnd(end);
    }),
  });

  return {
    pid: handle.pid,
    stop: () => handle.stop(),
    kill: () => handle.kill(),
    suspectDevice() {
      if (signs.state === 'ready') handle.suspectDevice();
    },
    askHsm: async (work) => (signs.state === 'ready' ? await handle.askHsm(work) : { done: false, why: 'not-ready' }),
    look(nowMs) {
      const why = killed ? undefined : overdue(signs, { ...watchdogLimits, callMs: slot.callDeadlineMs }, nowMs);
      if (why === undefined) return;
      killed = true;
      const silentMs = nowMs - (signs.heardAtMs ?? signs.startedAtMs);
      handle.kill({ why, ms: why === 'CALL_OVERDUE' ? signs.oldestCallMs + silentMs : silentMs });
    },
    forgive(nowMs) {
      signs.startedAtMs = nowMs;
      if (signs.heardAtMs !== undefined) signs.heardAtMs = nowMs;
      if (signs.turnSinceMs !== undefined) signs.turnSinceMs = nowMs;
    },
  };
}
