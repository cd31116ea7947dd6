import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { CodedError } from '../shared/errors.ts';
import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';
import type { Log } from '../shared/log.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { ClusterTurns } from './cluster/turns.ts';
import { createPinWatch, sharePinVerdict } from './pin-watch.ts';
import type { ReleaseClient } from './release-client.ts';
import { hopeless } from './restart-policy.ts';
import { createSlotKeeper, type SlotKeeper } from './slot-keeper.ts';
import type { SlotRecord, SlotState } from './slot-table.ts';
import { tokenInCluster, tokenInNode } from './slot-token.ts';
import type { StartUpTurns } from './start-up-turns.ts';
import { startWatchdog } from './watchdog.ts';
import type { WorkerHandle, WorkerListener } from './worker-handle.ts';

/** The slots of the node together: what one must know of another, and when the node as a whole ends. */
export interface Supervisor {
  start(): void;
  /** Settles when no slot works and none will: with what an operator must mend. */
  readonly hopeless: Promise<CodedError>;
  slots(): readonly SlotView[];
  add(slot: SlotConfiguration): void;
  /** Its worker ends as if asked, the next one starts with this configuration. */
  replace(slot: SlotConfiguration, why: string): void;
  remove(name: string): Promise<void>;
  /** Maintenance on the HSM of a slot, see src/shared/hsm-work.ts. Never rejects. */
  askHsm(slot: string, work: HsmWork): Promise<HsmWorkAnswer>;
  /** Called after each change of a slot's state. @returns how to stop it. */
  onState(listener: (slot: SlotView, before: SlotState) => void): () => void;
  /** Called with each report of a worker, after it is in the slot's record. @returns how to stop it. */
  onReport(listener: (slot: SlotView) => void): () => void;
  /** Asks all workers to end; resolves when all have ended, by themselves or killed, and their instances too. */
  stop(): Promise<void>;
  /** SIGKILL for all that still live. */
  kill(): void;
}

export interface SlotView {
  readonly configuration: SlotConfiguration;
  readonly record: SlotRecord;
  /** Of the PIN file, before the last worker read it. */
  readonly pinStamp: string;
}

export interface SupervisorOptions {
  readonly slots: readonly SlotConfiguration[];
  readonly fork: (slot: string, listener: WorkerListener) => WorkerHandle;
  readonly turns: StartUpTurns;
  readonly clusterTurns: ClusterTurns;
  /** Operators’ orders of the last so many milliseconds that PINs may be tried once more. */
  readonly pinClears: Cluster['pinClears'];
  readonly releases: ReleaseClient;
  readonly log: Log;
}

const releaseLimitMs = 5_000;
/** At the end of the node there is no time for more. */
const lastReleaseLimitMs = 400;
const pinLookMs = 1_000;

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { releases, clusterTurns, log } = options;
  const verdict = Promise.withResolvers<CodedError>();
  const releasing = new Set<Promise<void>>();
  const stateListeners = new Set<(slot: SlotView, before: SlotState) => void>();
  const reportListeners = new Set<(slot: SlotView) => void>();
  const keepers = new Map<string, SlotKeeper>();
  const pinWatch = createPinWatch(() => [...keepers.values()], options.pinClears, log);
  const clocks: (() => void)[] = [];
  let stopping = false;

  function keep(slot: SlotConfiguration): SlotKeeper {
    const keeper = createSlotKeeper(slot, {
      fork: options.fork,
      startUpTurns: options.turns,
      recoveryTurn: ({ configuration, record }, signal) =>
        clusterTurns.take(`reconnect ${tokenInCluster(configuration, record.facts)}`, configuration.name, signal),
      release,
      onState(changed, state, before) {
        if (state === 'latched' && changed.waitsForPin) sharePinVerdict(changed, [...keepers.values()]);
        for (const listener of stateListeners) listener(changed, before);
      },
      onReport(changed) {
        for (const listener of reportListeners) listener(changed);
      },
      onDeviceFault: tellSiblings,
      onEnd: judge,
      log,
    });
    keepers.set(slot.name, keeper);
    return keeper;
  }

  /** N workers on one HSM need not fail N times: one fault makes all of them look. */
  function tellSiblings(keeper: SlotKeeper): void {
    const token = tokenInNode(keeper.configuration);
    for (const other of keepers.values()) {
      if (other !== keeper && tokenInNode(other.configuration) === token) other.suspectDevice();
    }
  }

  function judge(): void {
    const all = [...keepers.values()];
    if (!stopping && hopeless(all.map((keeper) => keeper.standing))) verdict.resolve(faultOf(all[0] as SlotKeeper));
  }

  function release(instance: string): void {
    const limitMs = stopping ? lastReleaseLimitMs : releaseLimitMs;
    const promise = releases.release(instance, limitMs).finally(() => releasing.delete(promise));
    releasing.add(promise);
  }

  function eachKeeper(act: (keeper: SlotKeeper) => void): void {
    for (const keeper of keepers.values()) act(keeper);
  }

  for (const slot of options.slots) keep(slot);
  return {
    hopeless: verdict.promise,
    slots: () => [...keepers.values()],
    start() {
      eachKeeper((keeper) => keeper.start());
      clocks.push(
        startWatchdog({
          look: (nowMs) => eachKeeper((keeper) => keeper.look(nowMs)),
          forgive: (nowMs) => eachKeeper((keeper) => keeper.forgive(nowMs)),
        }),
      );
      const timer = setInterval(() => pinWatch.look(), pinLookMs);
      clocks.push(() => clearInterval(timer));
    },
    add(slot) {
      if (!stopping) keep(slot).start();
    },
    replace(slot, why) {
      if (!stopping) keepers.get(slot.name)?.replace(slot, why);
    },
    async remove(name) {
      const keeper = keepers.get(name);
      await keeper?.stop();
      if (keepers.get(name) === keeper) keepers.delete(name);
    },
    askHsm: async (slot, work) => (await keepers.get(slot)?.askHsm(work)) ?? { done: false, why: 'not-ready' },
    onState(listener) {
      stateListeners.add(listener);
      return () => stateListeners.delete(listener);
    },
    onReport(listener) {
      reportListeners.add(listener);
      return () => reportListeners.delete(listener);
    },
    async stop() {
      stopping = true;
      await Promise.all([...keepers.values()].map((keeper) => keeper.stop()));
      for (const stopClock of clocks.splice(0)) stopClock();
      await Promise.race([Promise.all(releasing), later(lastReleaseLimitMs)]);
    },
    kill() {
      eachKeeper((keeper) => keeper.kill());
    },
  };
}

function faultOf({ configuration, lastEnd }: SlotKeeper): CodedError {
  if (lastEnd?.fault !== undefined) return new CodedError(lastEnd.fault.code, lastEnd.fault.detail);
  return new CodedError('INTERNAL', `the worker of slot ${configuration.name} ended with code ${lastEnd?.code}`);
}

function later(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms).unref();
  return promise;
}
