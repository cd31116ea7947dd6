import { setTimeout as sleep } from 'node:timers/promises';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import type { Log } from '../shared/log.ts';
import type { ClusterTurns } from './cluster/turns.ts';
import { works } from './operations/readiness.ts';
import { pinGroup } from './slot-token.ts';
import type { SlotView, Supervisor } from './supervisor.ts';

/** What a new configuration means for the slots that a node has: pure. */
export interface RollOutPlan {
  readonly added: readonly SlotConfiguration[];
  readonly kept: readonly SlotConfiguration[];
  readonly removed: readonly string[];
}

export function planRollOut(running: readonly string[], wanted: readonly SlotConfiguration[]): RollOutPlan {
  return {
    added: wanted.filter((slot) => !running.includes(slot.name)),
    kept: wanted.filter((slot) => running.includes(slot.name)),
    removed: running.filter((name) => !wanted.some((slot) => slot.name === name)),
  };
}

/** What cannot change while a node runs: others know it by these. @returns whole sentences, none when all is well. */
export function identityProblems(old: DriverConfiguration, wanted: DriverConfiguration): string[] {
  return (['node', 'keyStore'] as const)
    .filter((key) => old[key] !== wanted[key])
    .map((key) => `${key} cannot change while the node runs (${old[key]} to ${wanted[key]}): restart it`);
}

/**
 * Replaces all workers, one at a time in the whole cluster: the next only when the one before is ready and, where
 * a slot of the node had before, has leased: a wrong address or certificate of the API costs one slot. Slots that do not work go first,
 * they have nothing to lose. Where a token refuses a new PIN, whoever shares it keeps its login; a
 * slot that worked and will not any more ends the roll-out: the workers that are left keep what they have.
 *
 * @param signal another configuration is to be rolled out, or the node ends.
 */
export async function rollOut(
  plan: RollOutPlan,
  { supervisor, clusterTurns, log }: { supervisor: Supervisor; clusterTurns: ClusterTurns; log: Log },
  signal: AbortSignal,
): Promise<void> {
  for (const slot of plan.added) supervisor.add(slot);
  const viewOf = (name: string) => supervisor.slots().find((slot) => slot.configuration.name === name);
  const worked = new Set(plan.kept.map(({ name }) => name).filter((name) => viewOf(name)?.record.state === 'ready'));
  // Of any: after a reload with a wrong API section one waits and the others lease; the next one may be wrong too.
  const leased = [...worked].some((name) => works(viewOf(name)?.record.report));
  const ordered = plan.kept.toSorted((a, b) => Number(worked.has(a.name)) - Number(worked.has(b.name)));
  const refusedPins = new Set<string>();
  for (const slot of ordered) {
    if (pinNames(slot).some((name) => refusedPins.has(name))) {
      log.warn({ slot: slot.name }, 'not replaced: its PIN was just refused elsewhere');
      continue;
    }
    const turn = await clusterTurns.take('replace a worker', slot.name, signal, 'wait');
    try {
      if (signal.aborted) return;
      const stampBefore = viewOf(slot.name)?.pinStamp;
      supervisor.replace(slot, 'the configuration was read again');
      const outcome = await settled(
        supervisor,
        { name: slot.name, worked: worked.has(slot.name), leased },
        log,
        signal,
      );
      if (signal.aborted) return;
      if (outcome !== 'latched') continue;
      const { record, pinStamp } = viewOf(slot.name) ?? {};
      // One that had been refused before, and is again, says nothing new.
      if (!worked.has(slot.name) && pinStamp === stampBefore) continue;
      if (record?.latchedBy === 'PIN') {
        log.error({ slot: slot.name }, 'new PIN refused; workers that share it keep their login');
        for (const name of pinNames(slot)) refusedPins.add(name);
      } else if (worked.has(slot.name)) {
        log.error({ slot: slot.name, why: record?.why }, 'reload halted; the workers that are left go on');
        return;
      }
    } finally {
      turn.end();
    }
  }
  await Promise.all(plan.removed.map((name) => supervisor.remove(name)));
  log.info('configuration is in force');
}

/** By any of these two slots may be meant by one PIN. */
function pinNames(slot: SlotConfiguration): string[] {
  return [`file ${slot.pinFile}`, `counter ${pinGroup(slot)}`];
}

const patienceMs = 30_000;

type Outcome = 'ready' | 'latched' | 'recovering';

/** How it was before a slot was replaced. */
interface Before {
  readonly name: string;
  readonly worked: boolean;
  /** A slot of this node leased: the API was there. */
  readonly leased: boolean;
}

/** @returns undefined while a replaced slot is on its way to what it was. One that did not work is tried once. */
function outcomeOf({ record: { state, report } }: SlotView, { worked, leased }: Before): Outcome | undefined {
  if (state === 'latched') return state;
  if (state === 'recovering') return worked ? undefined : state;
  // Where the API is down this waits for it; the slots that are left keep their connections meanwhile.
  return state === 'ready' && (!leased || works(report)) ? state : undefined;
}

/** Waits for the outcome. @returns undefined when `signal` was aborted. */
async function settled(
  supervisor: Supervisor,
  before: Before,
  log: Log,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const { promise, resolve } = Promise.withResolvers<Outcome | undefined>();
  const look = (slot: SlotView): void => {
    const outcome = slot.configuration.name === before.name ? outcomeOf(slot, before) : undefined;
    if (outcome !== undefined) resolve(outcome);
  };
  const stopListening = [supervisor.onState(look), supervisor.onReport(look)];
  const over = new AbortController();
  const abort = (): void => resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  sleep(patienceMs, undefined, { signal: over.signal }).then(
    () => log.warn({ slot: before.name }, 'reload waits for this slot to work again'),
    () => {},
  );
  try {
    return await promise;
  } finally {
    for (const stop of stopListening) stop();
    over.abort();
    signal.removeEventListener('abort', abort);
  }
}
