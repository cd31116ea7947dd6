import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type FaultRule, renderRule } from './rules.ts';
import { createStatistics, type FaultStats, raiseGeneration, readStatistics } from './statistics.ts';

export interface FaultControl {
  /** For a slot's `environment`, or a process's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** The same, and a name for rules with `tag`. */
  tagged(tag: string): Record<string, string>;
  /**
   * From now on these rules hold, and no others: in force for every call that begins after this returns, in whichever
   * process. Counting starts anew. A call that hangs goes on hanging if its rule is still there, word for word.
   */
  set(rules: readonly FaultRule[]): void;
  /** No more faults; hung calls carry on. */
  clear(): void;
  stats(): FaultStats;
}

/**
 * The switchboard of some fault modules: `control` and `statistics` in `directory`, which is made. May be opened again,
 * also by another process.
 * @param realModule the module that calls go to; default: the one that set-up found.
 */
export function openFaultControl(directory: string, realModule: string = moduleOfSetUp()): FaultControl {
  mkdirSync(directory, { recursive: true });
  const controlFile = resolve(directory, 'control');
  const statisticsFile = resolve(directory, 'statistics');
  createStatistics(statisticsFile);
  const environment = {
    HSM_FAULT_MODULE_REAL: realModule,
    HSM_FAULT_CONTROL: controlFile,
    HSM_FAULT_STATS: statisticsFile,
  };

  function set(rules: readonly FaultRule[]): void {
    if (rules.length > maxRules) throw new RangeError(`a control file holds at most ${maxRules} rules`);
    // The first line makes each version another one, though its rules may be the same: they count anew.
    const text = [`# ${randomUUID()}`, ...rules.map(renderRule), ''].join('\n');
    const unfinished = `${controlFile}.${randomUUID()}`;
    writeFileSync(unfinished, text, { mode: 0o600 });
    renameSync(unfinished, controlFile);
    raiseGeneration(statisticsFile);
  }

  return {
    environment,
    tagged: (tag) => ({ ...environment, HSM_FAULT_TAG: tag }),
    set,
    clear: () => set([]),
    stats: () => readStatistics(statisticsFile),
  };
}

const maxRules = 64;

function moduleOfSetUp(): string {
  const file = resolve(import.meta.dirname, '../../..', '.cache/setup/facts.json');
  const { module } = JSON.parse(readFileSync(file, 'utf8')) as { module?: unknown };
  if (typeof module !== 'string') throw new Error(`${file} names no PKCS#11 module: run npm run setup`);
  return module;
}
