import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { CodedError } from '../shared/errors.ts';
import { exitCodes } from '../shared/exit-codes.ts';
import type { Log } from '../shared/log.ts';
import type { ReleaseClient } from './release-client.ts';
import { type Decision, decide, hopeless, type SlotStanding, type WorkerExit } from './restart-policy.ts';
import type { StartUpTurns } from './start-up-turns.ts';
import type { WorkerEnd, WorkerHandle, WorkerListener } from './worker-handle.ts';

/** One worker a slot: started, replaced as the policy says, stopped. Holds no policy of its own. */
export interface Supervisor {
  start(): void;
  /** Settles when no slot works and none will: with what an operator must mend. */
  readonly hopeless: Promise<CodedError>;
  /** Asks all workers to end; resolves when all have ended, by themselves or killed, and their instances too. */
  stop(): Promise<void>;
  /** SIGKILL for all that still live. */
  kill(): void;
}

export interface SupervisorOptions {
  readonly slots: readonly SlotConfiguration[];
  readonly fork: (slot: string, listener: WorkerListener) => WorkerHandle;
  readonly turns: StartUpTurns;
  readonly releases: ReleaseClient;
  readonly log: Log;
}

/** How many ends of a slot are remembered: more than any back-off needs to reach its longest delay. */
const rememberedExits = 16;
const releaseLimitMs = 5_000;
/** At the end of the node there is no time for more. */
const lastReleaseLimitMs = 400;

interface Slot {
  readonly configuration: SlotConfiguration;
  worker: WorkerHandle | undefined;
  timer: NodeJS.Timeout | undefined;
  phase: SlotStanding['phase'];
  everReady: boolean;
  exits: WorkerExit[];
  last: WorkerEnd | undefined;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { turns, releases, log } = options;
  const verdict = Promise.withResolvers<CodedError>();
  const allEnded = Promise.withResolvers<void>();
  const releasing = new Set<Promise<void>>();
  let stopping = false;
  const slots = options.slots.map(
    (configuration): Slot => ({
      configuration,
      worker: undefined,
      timer: undefined,
      phase: 'waiting',
      everReady: false,
      exits: [],
      last: undefined,
    }),
  );

  function startWorker(slot: Slot): void {
    const { name, module, tokenLabel, tokenSerial = '' } = slot.configuration;
    const token = JSON.stringify([module, tokenLabel, tokenSerial]);
    const holder = {};
    const worker: WorkerHandle = options.fork(name, {
      onTurnWanted: () => turns.want(token, holder, () => worker.grantTurn()),
      onTurnDone: () => turns.end(holder),
      onState(state) {
        if (state === 'ready') slot.everReady = true;
        log.debug({ slot: name, state }, 'slot state');
      },
      onEnd(end) {
        turns.end(holder);
        ended(slot, end);
      },
    });
    slot.worker = worker;
    slot.phase = 'running';
    log.debug({ slot: name, workerPid: worker.pid }, 'worker started');
  }

  function ended(slot: Slot, end: WorkerEnd): void {
    slot.worker = undefined;
    if (end.instance !== undefined) release(end.instance, stopping ? lastReleaseLimitMs : releaseLimitMs);
    if (stopping) {
      log.info({ slot: slot.configuration.name, how: end.how, ...codes(end) }, 'worker ended');
      if (slots.every((one) => one.worker === undefined)) allEnded.resolve();
      return;
    }
    const repeated = slot.last?.reason === end.reason && end.readyMs === 0;
    slot.last = end;
    slot.exits = [...slot.exits, { reason: end.reason, readyMs: end.readyMs }].slice(-rememberedExits);
    const decision = decide(slot.exits, Math.random());
    obey(slot, decision);
    tell(slot, end, decision, repeated);
    if (hopeless(slots.map(standing))) verdict.resolve(faultOf(slots[0] as Slot));
  }

  function obey(slot: Slot, decision: Decision): void {
    switch (decision.do) {
      case 'restart':
        slot.phase = 'waiting';
        slot.timer = setTimeout(() => startWorker(slot), decision.afterMs);
        return;
      case 'latch':
        slot.phase = 'latched';
        return;
      case 'stop':
        slot.phase = 'stopped';
        return;
      default:
        throw new Error(`unknown decision: ${decision satisfies never}`);
    }
  }

  /** A worker that cannot start for the same reason again and again is told once. */
  function tell(slot: Slot, end: WorkerEnd, decision: Decision, repeated: boolean): void {
    const fields = {
      slot: slot.configuration.name,
      ...codes(end),
      ...(decision.do === 'restart' ? { restartInMs: decision.afterMs } : {}),
    };
    const sentence = decision.do === 'restart' ? 'worker gone; it is replaced' : 'worker gone; it is not started again';
    if (repeated) log.debug(fields, sentence);
    else log.warn(fields, sentence);
  }

  function release(instance: string, limitMs: number): void {
    const promise = releases.release(instance, limitMs).finally(() => releasing.delete(promise));
    releasing.add(promise);
  }

  return {
    hopeless: verdict.promise,
    start() {
      for (const slot of slots) startWorker(slot);
    },
    async stop() {
      stopping = true;
      for (const slot of slots) {
        clearTimeout(slot.timer);
        slot.worker?.stop();
      }
      if (slots.some((slot) => slot.worker !== undefined)) await allEnded.promise;
      await Promise.race([Promise.all(releasing), later(lastReleaseLimitMs)]);
    },
    kill() {
      for (const slot of slots) slot.worker?.kill();
    },
  };
}

function standing({ phase, last, everReady }: Slot): SlotStanding {
  return { phase, everReady, ...(last === undefined ? {} : { lastReason: last.reason }) };
}

function codes({ code, signal, reason, fault }: WorkerEnd): Record<string, unknown> {
  const meaning = reason === 'SIGNAL' ? 'killed by a signal' : exitCodes[reason].meaning;
  return { code, signal, meaning, ...(fault === undefined ? {} : { fault: fault.code, cause: fault.detail }) };
}

function faultOf({ configuration, last }: Slot): CodedError {
  if (last?.fault !== undefined) return new CodedError(last.fault.code, last.fault.detail);
  return new CodedError('INTERNAL', `the worker of slot ${configuration.name} ended with code ${last?.code}`);
}

function later(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms).unref();
  return promise;
}
