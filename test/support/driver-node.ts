import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { onItsOwn } from '../../scripts/local/processes.ts';
import type { DatabaseConfiguration, SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import type { TestCertificates } from './certificates.ts';
import type { ScriptedApi } from './scripted-api.ts';
import { type SoftKeyStore, temporaryDirectory } from './soft-token.ts';
import { until } from './until.ts';

/** `hsm-driver run` as an operator starts it: a process group of its own, and its log. */
export interface DriverNode {
  readonly pid: number;
  readonly log: LogLine[];
  /** What it said on standard error. */
  readonly errors: () => string;
  /** The nth line with this sentence that fits. */
  line(sentence: string, fits?: (line: LogLine) => boolean, nth?: number): Promise<LogLine>;
  count(sentence: string, fits?: (line: LogLine) => boolean): number;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** To the whole group, as a terminal's Ctrl-C. */
  signalGroup(signal: NodeJS.Signals): void;
}

export type LogLine = Record<string, unknown> & { readonly pid: number; readonly msg: string };

export interface NodeParts {
  readonly api: Pick<ScriptedApi, 'address'>;
  readonly certificates: TestCertificates;
  readonly database: DatabaseConfiguration;
  readonly store: SoftKeyStore;
  readonly slots?: readonly SlotConfiguration[];
  readonly node?: string;
}

/** @returns the path of a configuration file with these parts; `change` is merged over it. */
export async function writeNodeConfiguration(
  t: Test,
  parts: NodeParts,
  change: Record<string, unknown> = {},
): Promise<string> {
  const { api, certificates, store, node = 'node-1' } = parts;
  const { owner: _, ...database } = parts.database;
  const file = join(temporaryDirectory(t), 'config.yaml');
  const configuration = {
    kind: 'driver',
    node,
    keyStore: store.keyStore,
    api: { addresses: [api.address], caFile: certificates.serverCaFile, ...(await certificates.client(node)) },
    database,
    ceremonyFile: store.ceremonyFile,
    slots: [...(parts.slots ?? store.slots.slice(0, 1))],
    log: { level: 'debug' },
    ...change,
  };
  writeFileSync(file, stringify(configuration));
  return file;
}

const main = resolve(import.meta.dirname, '../../src/cli/main.ts');

export function startNode(t: Test, configFile: string): DriverNode {
  const [program = '', ...args] = onItsOwn([process.execPath, main, 'run', '--config', configFile]);
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, NOT_FOR_WORKERS: 'secret' },
  });
  const log: LogLine[] = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => log.push(JSON.parse(line)));
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const pid = child.pid ?? -1;
  const exited = new Promise<{ code: number | null; signal: string | null }>((done) =>
    child.once('exit', (code, signal) => done({ code, signal })),
  );
  const signalGroup = (signal: NodeJS.Signals): void => {
    try {
      process.kill(-pid, signal);
    } catch {
      // Nobody of the group is left.
    }
  };
  t.teardown(async () => {
    signalGroup('SIGKILL');
    await exited;
  });
  const matching = (sentence: string, fits: (line: LogLine) => boolean): LogLine[] =>
    log.filter((line) => line.msg === sentence && fits(line));
  return {
    pid,
    log,
    errors: () => errors,
    async line(sentence, fits = () => true, nth = 1) {
      try {
        return await until(sentence, () => matching(sentence, fits)[nth - 1]);
      } catch (error) {
        const last = log.slice(-20).map((line) => JSON.stringify(line));
        throw new Error(`${(error as Error).message}; the node said:\n${last.join('\n')}\n${errors}`);
      }
    },
    count: (sentence, fits = () => true) => matching(sentence, fits).length,
    exited,
    signalGroup,
  };
}

/** A process that has ended but was not yet collected by its parent counts as gone. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
