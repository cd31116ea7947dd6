import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultSystem } from '../faults/fault-system.ts';
import { sightOf } from '../faults/run-fault.ts';
import { checkHistory, type History } from '../support/history-checker.ts';
import { createKeyStore } from '../support/soft-token.ts';
import type { SystemUser } from '../support/system.ts';
import { until } from '../support/until.ts';
import { startApplications } from './applications.ts';
import { disturbances } from './disturbances.ts';
import { createRandom } from './random.ts';
import { writtenHistory } from './written-history.ts';

export interface ChaosResult {
  readonly signed: number;
  readonly keys: number;
  /** Requests that were sent more than once. */
  readonly repeated: number;
  readonly disturbances: ReadonlyMap<string, number>;
  /** None: nothing that must never be true was. */
  readonly problems: readonly string[];
}

/** A slot of node 1 whose token holds another master key. */
const stranger = 'stranger';

/**
 * Disturbs a system at random while applications use it, lets it recover, and judges the whole history. The seed decides
 * what is done in which order; when exactly it meets what is left to the machine.
 */
export async function runChaos(
  t: SystemUser,
  system: FaultSystem,
  { seed, durationMs, say }: { seed: number; durationMs: number; say: (line: string) => void },
): Promise<ChaosResult> {
  const random = createRandom(seed);
  const done = new Map<string, number>();
  const problems: string[] = [];
  const refusedBefore = system.control.stats().loginsRefused;
  await addStranger(t, system);
  const applications = startApplications(system);
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs) {
    await sleep(random.between(100, 1_500));
    const disturbance = random.of(disturbances);
    say(disturbance.name);
    try {
      await disturbance.run(system, random);
    } catch (error) {
      problems.push(`${disturbance.name}: ${(error as Error).message}`);
    }
    system.control.clear();
    done.set(disturbance.name, (done.get(disturbance.name) ?? 0) + 1);
  }
  say('everything is mended');
  const recovered = until(
    'both nodes are ready again',
    async () => {
      for (const n of [1, 2]) if (sightOf(await system.status(n)) !== 'ready') return false;
      return true;
    },
    90_000,
  );
  await recovered.catch((error: Error) => problems.push(error.message));
  const told = await applications.stop();
  await nothingOpen(system);
  const history: History = {
    ...told,
    ...(await writtenHistory(system)),
    strangers: [stranger],
    logins: {
      chances: done.get('a PIN is refused, and cleared') ?? 0,
      refused: system.control.stats().loginsRefused - refusedBefore,
    },
  };
  problems.push(...checkHistory(history).map(({ invariant, what }) => `${invariant}. ${what}`));
  return {
    signed: told.signatures.filter(({ answers }) => answers.at(-1)?.is === 'signed').length,
    keys: history.api.keys.length,
    repeated: told.signatures.filter(({ answers }) => answers.length > 1).length,
    disturbances: done,
    problems,
  };
}

async function addStranger(t: SystemUser, system: FaultSystem): Promise<void> {
  const [slot] = (await createKeyStore(t)).slots;
  const { environment, tokenLabel, pinFile, module } = slot;
  await system.rewriteNode(1, (file) => ({
    ...file,
    slots: [...file.slots, { name: stranger, module, environment, tokenLabel, pinFile }],
  }));
  const node = system.nodes.get(1);
  if (node !== undefined) process.kill(node.pid, 'SIGHUP');
  await until(
    'the stranger was looked at',
    async () => (await system.status(1))?.slots.some((one) => one.name === stranger && one.lastFault !== undefined),
    60_000,
  );
}

/** What was left open ends by itself: requests that nobody waits for any more included. */
async function nothingOpen(system: FaultSystem): Promise<void> {
  const open = "select 1 from request where state in ('queued', 'leased') limit 1";
  await until('no request is open', async () => (await system.query('api', open)).length === 0, 60_000).catch(() => {});
}
