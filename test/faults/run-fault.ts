import { setTimeout as sleep } from 'node:timers/promises';
import { settleMs } from '../../src/api/queue/upkeep.ts';
import type { NodeStatus } from '../../src/primary/operations/status.ts';
import { type Load, type SignedRequest, startLoad } from '../support/load.ts';
import { judgeHistory } from '../support/load-history.ts';
import type { Answer } from '../support/signing-application.ts';
import { until } from '../support/until.ts';
import { type Fault, loops } from './fault.ts';
import type { FaultSystem } from './fault-system.ts';
import { measureEffort, storms } from './storms.ts';

export interface FaultResult {
  readonly name: string;
  readonly requests: number;
  readonly signed: number;
  readonly retried: number;
  /** From the start of a request to its answer. */
  readonly slowestMs: number;
  /** From the end of the fault until node 1 was ready; latched slots: from the repair. */
  readonly recoveredMs: number;
  /** From the end of node 1’s worker until the next one polled; for rows that are about that. */
  readonly replacedMs?: number;
  /** What was seen of node 1, in order. */
  readonly during: readonly string[];
  readonly after: string;
  /** None: the row is green. */
  readonly problems: readonly string[];
}

const pauseMs = 25;
const loadLimitMs = 120_000;
/** Requests that must be answered before the fault, and after it. */
const enough = 12;
const lookMs = 60;
/** The API may have lost its database in the row before: it sees that it has it, and then waits, before it ends leases. */
const apiSettlesMs = 1_500 + settleMs;

/**
 * The bound of design and issue for a request that meets a fault of one HSM or node; a call that hangs costs its
 * deadline on top. Only where no retry is needed: a caller who comes again decides when.
 */
const servedWithinMs = 3_000;
/** The bound of design for a worker that is replaced, from its end until the next one polls. */
const replacedWithinMs = 1_500;

/**
 * Runs one row: load, fault, what was seen, recovery, and what the history says. Never throws.
 * @param timed also hold the row to its times; not where other tests share the processors. It begins when the slots work
 *   steadily and the API ends leases again, so that what the rows before it did costs this one nothing.
 */
export async function runFault(system: FaultSystem, fault: Fault, { timed = false } = {}): Promise<FaultResult> {
  const problems: string[] = [];
  const during: string[] = [];
  const retryOnce = fault.expect.retryOnce === true;
  const retries = retryOnce ? { retryOnceAfter: () => system.back() } : {};
  const effortBefore = measureEffort(system);
  let recoveredMs = Number.NaN;
  let replacedMs: number | undefined;
  let load: Load | undefined;
  let watching = true;
  let seeing: Promise<void> = Promise.resolve();

  const see = async (): Promise<void> => {
    while (watching) {
      const sight = sightOf(await system.status(1));
      if (during.at(-1) !== sight) during.push(sight);
      await sleep(lookMs);
    }
  };
  const mended = async (step: Fault['heal']): Promise<void> => {
    try {
      await step?.(system);
    } catch (error) {
      problems.push(`could not be mended: ${(error as Error).message}`);
    }
  };
  const isReady = async (n: number) => sightOf(await system.status(n)) === 'ready';
  const isSteady = async (n: number) => (await system.status(n))?.slots.every(({ steady }) => steady) === true;

  try {
    if (timed) {
      const steady = until('both slots work steadily', async () => (await isSteady(1)) && (await isSteady(2)), 60_000);
      await Promise.all([steady, sleep(apiSettlesMs)]);
    }
    await fault.prepare?.(system);
    await until('both nodes are ready', async () => (await isReady(1)) && (await isReady(2)), 60_000);
    const { system: parts, keys } = system;
    const at = fault.baseUrl === undefined ? {} : { baseUrl: fault.baseUrl(system) };
    load = startLoad({ client: parts.client, keys, loops, pauseMs, limitMs: loadLimitMs, ...retries, ...at });
    await answeredMore(load, 'before the fault');
    const signedBefore = await system.signed(2);

    seeing = see();
    await fault.inject(system);
    await until(
      `node 1 is ${fault.expect.during.join(' or ')}`,
      () => during.some((sight) => fault.expect.during.includes(sight)),
      30_000,
    );
    const seenAt = during.length;
    if (fault.heal !== undefined) await sleep(fault.lastsMs ?? 2_000);
    if (fault.hitsBoth === undefined)
      await until('node 2 signs meanwhile', async () => (await system.signed(2)) > signedBefore, 15_000);
    if (fault.expect.staysDown === true && during.slice(seenAt).some((sight) => sight.startsWith('ready')))
      problems.push('node 1 was ready while the fault lasted');
    let healedMs = performance.now();
    await fault.heal?.(system);
    if (fault.expect.latched === true) {
      await sleep(3_000);
      const sight = sightOf(await system.status(1));
      if (!fault.expect.during.includes(sight)) problems.push(`it was to stay as it was, and is ${sight}`);
      healedMs = performance.now();
      await fault.repair?.(system);
    }
    await until('node 1 is ready again', () => isReady(1), 60_000);
    recoveredMs = performance.now() - healedMs;
    replacedMs = await fault.replacedMs?.(system);
    await until('node 2 is ready', () => isReady(2), 60_000);
    await answeredMore(load, 'after the fault');
    // A worker reports once a second: what was lost and is back may only show now.
    await until('node 1 is ready at the end', () => isReady(1), 20_000);
  } catch (error) {
    problems.push((error as Error).message);
    await mended(fault.heal);
    await mended(fault.repair);
  } finally {
    system.control.clear();
  }
  watching = false;
  await seeing;
  const history = (await load?.stop()) ?? [];
  const again = load === undefined ? [] : await lookAgain(load, history);
  const { mayAnswer } = fault.expect;
  const judged = judgeHistory(history, { tries: retryOnce ? 2 : 1, again, ...(mayAnswer && { mayAnswer }) });
  problems.push(...judged.faults);
  problems.push(...storms(effortBefore, measureEffort(system), history.length));
  const limitMs = servedWithinMs + (fault.expect.deadlineMs ?? 0);
  if (timed && !retryOnce && mayAnswer === undefined && judged.slowestMs > limitMs)
    problems.push(`the slowest request took ${Math.round(judged.slowestMs)} ms, more than ${limitMs}`);
  if (timed && replacedMs !== undefined && !(replacedMs <= replacedWithinMs))
    problems.push(`the next worker polled after ${Math.round(replacedMs)} ms, more than ${replacedWithinMs}`);
  if (load !== undefined) problems.push(...((await fault.check?.(system, { load, history })) ?? []));
  await load?.close();
  const after = sightOf(await system.status(1));
  await mended(fault.tidy);
  return {
    name: fault.name,
    requests: history.length,
    signed: judged.signed,
    retried: judged.retried,
    slowestMs: judged.slowestMs,
    recoveredMs,
    ...(replacedMs === undefined ? {} : { replacedMs }),
    during,
    after,
    problems,
  };
}

/** A node’s first slot in few words: its state, and what else does not work. */
export function sightOf(status: NodeStatus | undefined): string {
  const slot = status?.slots[0];
  if (slot === undefined) return 'not reachable';
  const more = [
    slot.api === 'lost' ? 'API lost' : '',
    slot.database === 'lost' ? 'database lost' : '',
    slot.state === 'recovering' && slot.crashLoop ? 'crash loop' : '',
  ].filter((word) => word !== '');
  return more.length === 0 ? slot.state : `${slot.state} (${more.join(', ')})`;
}

async function answeredMore(load: Load, when: string): Promise<void> {
  const wanted = load.done.length + enough;
  await until(`requests are answered ${when}`, () => load.done.length >= wanted, 60_000);
}

/** The slowest ones first: what went through the fault. */
async function lookAgain(load: Load, history: readonly SignedRequest[]): Promise<Answer[]> {
  const slowness = ({ startedMs, endedMs }: SignedRequest) => endedMs - startedMs;
  const slowest = [...history].sort((one, other) => slowness(other) - slowness(one)).slice(0, 10);
  const answers: Answer[] = [];
  for (const { key, answers: before } of slowest) {
    const last = before.at(-1);
    if (last?.is === 'signed') answers.push(await load.look(key, last.id));
  }
  return answers;
}
