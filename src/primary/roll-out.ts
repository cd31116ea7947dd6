import { setTimeout as sleep } from 'node:timers/promises';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { fileStamp } from '../shared/file-stamp.ts';
import type { Log } from '../shared/log.ts';
import { works as hasLeased } from './operations/readiness.ts';
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

export interface RollOutParts {
  readonly supervisor: Supervisor;
  /** Resolves when this node may replace its workers, or `signal` is aborted. */
  readonly turn: (signal: AbortSignal) => Promise<void>;
  /**
   * Slots that worked until a roll-out of this node replaced their workers, and not since; and whether a slot of the node
   * had leased then. Kept from one roll-out to the next.
   */
  readonly lost: Map<string, { readonly leased: boolean }>;
  readonly log: Log;
}

/**
 * Replaces all workers of the node, one at a time: the next only when the one before is ready and, where a slot of the
 * node had before, has leased: a wrong address or certificate of the API costs one slot. Slots that do not work go first,
 * they have nothing to lose. Where a token refuses a PIN, whoever shares it and logged in with another one keeps that
 * login; a slot that worked and will not any more halts the roll-out: the workers that are left keep what they have.
 *
 * It lasts until what it cost works again, and with it the node's turn: what is wrong on one node would be wrong on the
 * next. Only a device that is gone is waited for once, by the roll-out in which it went.
 *
 * @param signal another configuration is to be rolled out, or the node ends.
 */
export async function rollOut(
  plan: RollOutPlan,
  { supervisor, turn, lost, log }: RollOutParts,
  signal: AbortSignal,
): Promise<void> {
  for (const slot of plan.added) supervisor.add(slot);
  if (plan.kept.length > 0) await turn(signal);
  if (signal.aborted) return;
  for (const name of lost.keys()) if (!plan.kept.some((slot) => slot.name === name)) lost.delete(name);
  const viewOf = (name: string) => supervisor.slots().find((slot) => slot.configuration.name === name);
  const works = new Set(plan.kept.map(({ name }) => name).filter((name) => viewOf(name)?.record.state === 'ready'));
  // Of any: after a reload with a wrong API section one waits and the others lease; the next one may be wrong too.
  const leased =
    [...lost.values()].some((before) => before.leased) ||
    [...works].some((name) => hasLeased(viewOf(name)?.record.report));
  const ordered = plan.kept.toSorted((a, b) => Number(works.has(a.name)) - Number(works.has(b.name)));
  const refusedPins = new Set<string>();
  const latched: string[] = [];
  const settle = (name: string, wanted: Wanted): Promise<Outcome | undefined> =>
    settled(supervisor, { name, leased, wanted }, log, signal);
  for (const slot of ordered) {
    const { name } = slot;
    const before = viewOf(name);
    const hasAnotherPin = before?.pinStamp !== fileStamp(slot.pinFile);
    if (hasAnotherPin && pinNames(slot).some((one) => refusedPins.has(one))) {
      log.warn({ slot: name }, 'not replaced: its PIN was just refused elsewhere');
      continue;
    }
    if (works.has(name)) lost.set(name, { leased });
    supervisor.replace(slot, 'the configuration was read again');
    const outcome = await settle(name, works.has(name) ? 'as before, or latched' : 'any');
    if (signal.aborted) return;
    if (outcome === 'ready') lost.delete(name);
    if (outcome !== 'latched') continue;
    const { record } = viewOf(name) ?? {};
    if (lost.has(name)) latched.push(name);
    if (record?.latchedBy === 'PIN') {
      for (const one of pinNames(slot)) refusedPins.add(one);
      // One that had been refused before, and is again, says nothing new.
      if (!works.has(name) && !hasAnotherPin) continue;
      log.error({ slot: name }, 'new PIN refused; workers that share it keep their login');
    } else if (lost.has(name)) {
      log.error(
        { slot: name, why: record?.why },
        'reload halted until this slot works; the workers that are left go on',
      );
      await settle(name, 'as before');
      if (signal.aborted) return;
      lost.delete(name);
    }
  }
  await Promise.all(plan.removed.map((name) => supervisor.remove(name)));
  log.info('configuration is in force');
  await Promise.all(latched.filter((name) => lost.has(name)).map((name) => settle(name, 'as before')));
  if (!signal.aborted) lost.clear();
}

/** By any of these two slots may be meant by one PIN. */
function pinNames(slot: SlotConfiguration): string[] {
  return [`file ${slot.pinFile}`, `counter ${pinGroup(slot)}`];
}

const patienceMs = 30_000;

type Outcome = 'ready' | 'latched' | 'recovering';
/** What ends the wait for a slot that was replaced. `as before`: it works. */
type Wanted = 'as before' | 'as before, or latched' | 'any';

interface Awaited {
  readonly name: string;
  readonly wanted: Wanted;
  /** A slot of this node leased before: the API was there. */
  readonly leased: boolean;
}

/** @returns undefined while a replaced slot is on its way. One that did not work is tried once. */
function outcomeOf({ record: { state, report } }: SlotView, { wanted, leased }: Awaited): Outcome | undefined {
  if (state === 'latched') return wanted === 'as before' ? undefined : state;
  if (state === 'recovering') return wanted === 'any' ? state : undefined;
  // Where the API is down this waits for it; the slots that are left keep their connections meanwhile.
  return state === 'ready' && (!leased || hasLeased(report)) ? state : undefined;
}

/** Waits for the outcome. @returns undefined when `signal` was aborted. */
async function settled(
  supervisor: Supervisor,
  awaited: Awaited,
  log: Log,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const { promise, resolve } = Promise.withResolvers<Outcome | undefined>();
  const look = (slot: SlotView): void => {
    const outcome = slot.configuration.name === awaited.name ? outcomeOf(slot, awaited) : undefined;
    if (outcome !== undefined) resolve(outcome);
  };
  const stopListening = [supervisor.onState(look), supervisor.onReport(look)];
  const over = new AbortController();
  const abort = (): void => resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  sleep(patienceMs, undefined, { signal: over.signal }).then(
    () => log.warn({ slot: awaited.name }, 'reload waits for this slot to work again'),
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
