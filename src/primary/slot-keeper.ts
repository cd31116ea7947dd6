import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { fileStamp } from '../shared/file-stamp.ts';
import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';
import type { Log } from '../shared/log.ts';
import type { WorkerState } from '../shared/worker-state.ts';
import type { Turn } from './cluster/turns.ts';
import { inCrashLoop, type TimedEnd } from './crash-loop.ts';
import { type Decision, decide, type SlotStanding, steadyMs, type WorkerExit, wantsTurn } from './restart-policy.ts';
import { createSlotEntry, type SlotRecord, type SlotState } from './slot-table.ts';
import type { StartUpTurns } from './start-up-turns.ts';
import { startWatchedWorker, type WatchedWorker } from './watched-worker.ts';
import { endFields, faultOf, meaning } from './worker-end.ts';
import type { WorkerEnd, WorkerHandle, WorkerListener } from './worker-handle.ts';

/** Keeps one slot at work: its worker is started, watched, replaced as the policy says, stopped. */
export interface SlotKeeper {
  readonly configuration: SlotConfiguration;
  readonly record: SlotRecord;
  readonly standing: SlotStanding;
  readonly lastEnd: WorkerEnd | undefined;
  /** Of the PIN file, before the last worker read it. */
  readonly pinStamp: string;
  /** Latched because of the PIN file: a changed one is a reason to try again. */
  readonly waitsForPin: boolean;
  start(): void;
  /** The worker ends as if asked, the next one starts with `configuration`; what was counted before is forgotten. */
  replace(configuration: SlotConfiguration, why: string): void;
  /** A sibling knows already what this PIN file is worth. */
  notePinStamp(stamp: string): void;
  suspectDevice(): void;
  /** See WorkerHandle. */
  askHsm(work: HsmWork): Promise<HsmWorkAnswer>;
  /** Kills a worker that hangs. */
  look(nowMs: number): void;
  forgive(nowMs: number): void;
  /** Resolves when there is no worker any more. */
  stop(): Promise<void>;
  kill(): void;
}

export interface KeeperOptions {
  readonly fork: (slot: string, listener: WorkerListener) => WorkerHandle;
  readonly startUpTurns: StartUpTurns;
  /** Resolves when it is this slot's turn to reconnect, or `signal` was aborted. */
  readonly recoveryTurn: (keeper: SlotKeeper, signal: AbortSignal) => Promise<Turn>;
  /** Its worker's instance has ended. */
  readonly release: (instance: string) => void;
  readonly onState: (keeper: SlotKeeper, state: SlotState, before: SlotState) => void;
  readonly onReport: (keeper: SlotKeeper) => void;
  readonly onDeviceFault: (keeper: SlotKeeper) => void;
  /** A worker ended, and what comes next is decided. */
  readonly onEnd: () => void;
  readonly log: Log;
}

/** How many ends of a slot are remembered: more than any back-off needs to reach its longest delay. */
const rememberedEnds = 16;

export function createSlotKeeper(first: SlotConfiguration, options: KeeperOptions): SlotKeeper {
  const log = options.log.child({ slot: first.name });
  const entry = createSlotEntry((state, before) => {
    log.debug({ state, before, why: entry.now.why }, 'slot state');
    options.onState(keeper, state, before);
  });
  let configuration = first;
  let running: WatchedWorker | undefined;
  let ends: (WorkerExit & TimedEnd)[] = [];
  let last: WorkerEnd | undefined;
  let pinStamp = '';
  /** Ends since the slot worked steadily: repeated lines are counted, not repeated. */
  let endsInRow = 0;
  let asked: 'replace' | 'stop' | undefined;
  let waiting: AbortController | undefined;
  let turn: Turn | undefined;
  let steady: NodeJS.Timeout | undefined;
  const gone = Promise.withResolvers<void>();

  function startWorker(why: string): void {
    waiting = undefined;
    // A reload may have changed it; a child does not follow by itself.
    log.level = options.log.level;
    entry.to('starting', why);
    pinStamp = fileStamp(configuration.pinFile);
    const startedAt = new Date();
    const worker = startWatchedWorker(
      { slot: configuration, fork: options.fork, startUpTurns: options.startUpTurns },
      {
        onStarted: (instance) => entry.note({ worker: { pid: worker.pid, instance, startedAt } }),
        onState: said,
        onReport(report) {
          entry.note({ report, ...(report.slot === undefined ? {} : { facts: report.slot }) });
          options.onReport(keeper);
        },
        onDeviceFault(code, detail) {
          entry.note({ lastFault: { code, detail, at: new Date() } });
          options.onDeviceFault(keeper);
        },
        onEnd: ended,
      },
    );
    running = worker;
    entry.note({ worker: { pid: worker.pid, startedAt } });
    log.debug({ workerPid: worker.pid }, 'worker started');
  }

  function said(state: WorkerState): void {
    switch (state) {
      case 'starting':
        return;
      case 'probing':
        entry.to('probing', 'its worker proves the master key and what the HSM can do');
        return;
      case 'ready':
        entry.to('ready', entry.now.state === 'suspect' ? 'the HSM answered a probe' : 'proven; takes work');
        endTurn();
        steady ??= setTimeout(tellRecovery, steadyMs);
        return;
      case 'suspect':
        entry.to('suspect', 'a call failed in a way that may be the device’s, here or in a sibling');
        return;
      case 'stopping':
        if (asked === undefined) entry.to('recovering', 'its worker met a fault and ends');
        return;
      default:
        state satisfies never;
    }
  }

  function ended(end: WorkerEnd): void {
    running = undefined;
    clearTimeout(steady);
    steady = undefined;
    entry.forgetWorker();
    endTurn();
    if (end.instance !== undefined) options.release(end.instance);
    if (asked === 'stop') {
      log.info({ how: end.how, ...endFields(end) }, 'worker ended');
      gone.resolve();
    } else if (asked === 'replace') {
      asked = undefined;
      log.info({ how: end.how }, 'worker replaced');
      entry.countRestart('RELOAD');
      startWorker('replaced');
    } else {
      endedByItself(end);
    }
    options.onEnd();
  }

  function endedByItself(end: WorkerEnd): void {
    const nowMs = performance.now();
    ends = [...ends, { reason: end.reason, readyMs: end.readyMs, atMs: nowMs }].slice(-rememberedEnds);
    const crashLoop = inCrashLoop(ends, nowMs);
    const decision = decide(ends, Math.random(), { heldBack: crashLoop, everReady: entry.now.everReady });
    const fault = faultOf(end);
    tell(end, decision, crashLoop && !entry.now.crashLoop);
    last = end;
    entry.note({ lastFault: fault, crashLoop: crashLoop && decision.do === 'restart' });
    obey(decision, end);
    if (end.reason === 'DEVICE' || end.overdue === 'CALL_OVERDUE') options.onDeviceFault(keeper);
  }

  function obey(decision: Decision, end: WorkerEnd): void {
    const why = meaning(end);
    switch (decision.do) {
      case 'restart':
        if (!entry.to('recovering', why)) entry.note({ why });
        entry.countRestart(end.overdue ?? end.reason);
        startLater(decision.afterMs, end.reason);
        return;
      case 'latch':
      case 'stop':
        entry.note({ latchedBy: end.reason });
        entry.to('latched', why);
        return;
      default:
        throw new Error(`unknown decision: ${decision satisfies never}`);
    }
  }

  function startLater(afterMs: number, reason: WorkerExit['reason']): void {
    const abort = new AbortController();
    waiting = abort;
    const timer = setTimeout(() => void begin(), afterMs);
    abort.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });

    async function begin(): Promise<void> {
      if (wantsTurn(reason, afterMs)) {
        entry.note({ why: 'waits for its turn to reconnect' });
        const granted = await options.recoveryTurn(keeper, abort.signal);
        if (abort.signal.aborted) return granted.end();
        turn = granted;
      }
      startWorker('the worker before it ended');
    }
  }

  function cancelStart(): void {
    waiting?.abort();
    waiting = undefined;
  }

  function endTurn(): void {
    turn?.end();
    turn = undefined;
  }

  /** A worker that ends for the same reason again and again is told once. */
  function tell(end: WorkerEnd, decision: Decision, firstInLoop: boolean): void {
    const same = last?.reason === end.reason && last.overdue === end.overdue && end.readyMs === 0;
    const repeated = same || (entry.now.crashLoop && !firstInLoop);
    const fields = {
      ...endFields(end),
      ...(decision.do === 'restart' ? { restartInMs: decision.afterMs } : {}),
    };
    const sentence = decision.do === 'restart' ? 'worker gone; it is replaced' : 'worker gone; it is not started again';
    endsInRow += 1;
    if (repeated) log.debug(fields, sentence);
    else log.warn(fields, sentence);
    if (firstInLoop) log.error({ ends: endsInRow, ...fields }, 'slot held back: its workers end again and again');
  }

  function tellRecovery(): void {
    entry.note({ crashLoop: false, steady: true });
    if (endsInRow > 1) log.info({ ends: endsInRow }, 'slot works again');
    endsInRow = 0;
  }

  function phase(): SlotStanding['phase'] {
    if (running !== undefined) return 'running';
    if (entry.now.state !== 'latched') return 'waiting';
    return entry.now.latchedBy === 'PIN' ? 'latched' : 'stopped';
  }

  const keeper: SlotKeeper = {
    get configuration() {
      return configuration;
    },
    get record() {
      return entry.now;
    },
    get standing() {
      const { everReady } = entry.now;
      return { phase: phase(), everReady, ...(last === undefined ? {} : { lastReason: last.reason }) };
    },
    get lastEnd() {
      return last;
    },
    get pinStamp() {
      return pinStamp;
    },
    get waitsForPin() {
      const { state, latchedBy } = entry.now;
      return state === 'latched' && (latchedBy === 'PIN' || latchedBy === 'SECRET_FILE');
    },
    start: () => startWorker('the node started'),
    replace(wanted, why) {
      configuration = wanted;
      ends = [];
      if (asked !== undefined) return;
      if (running === undefined) {
        cancelStart();
        startWorker(why);
        return;
      }
      asked = 'replace';
      entry.to('stopping', why);
      running.stop();
    },
    notePinStamp(stamp) {
      pinStamp = stamp;
    },
    suspectDevice: () => running?.suspectDevice(),
    askHsm: async (work) => (await running?.askHsm(work)) ?? { done: false, why: 'not-ready' },
    look(nowMs) {
      // One that was asked to end is waited for by the one who asked, no longer than its patience.
      if (asked === undefined) running?.look(nowMs);
    },
    forgive: (nowMs) => running?.forgive(nowMs),
    async stop() {
      asked = 'stop';
      cancelStart();
      entry.to('stopping', 'the node ends, or the slot was removed');
      if (running === undefined) gone.resolve();
      else running.stop();
      await gone.promise;
    },
    kill() {
      running?.kill();
    },
  };
  return keeper;
}
