import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FaultSystem } from './fault-system.ts';

/** What a fault must not set off while it lasts: a busy loop, a login storm, a log storm, growing memory. */
export interface Effort {
  readonly atMs: number;
  /** Written by all processes together. */
  readonly logLines: number;
  /** C_Login, and all PKCS#11 calls, on both tokens. */
  readonly logins: number;
  readonly hsmCalls: number;
  /** Of the processes that only watch or hand out work, by pid. */
  readonly processes: ReadonlyMap<
    number,
    { readonly name: string; readonly cpuMs: number; readonly residentMb: number }
  >;
}

/** A fault that lasts is told once, not again and again. */
const mostLogLines = 500;
/** Two sessions for each start of a worker; a rolling restart of two nodes, three times, is a dozen. */
const mostLogins = 60;
/** A start with its probes makes some hundred; a signature makes five. */
const callsPerRow = 6_000;
const callsPerRequest = 40;
/** A primary idles at a few percent. */
const primaryShare = 0.3;
const mostGrowthMb = 150;

export function measureEffort(system: FaultSystem): Effort {
  const { calls } = system.control.stats();
  const watched = [
    { name: 'the API', pid: system.api.pid },
    ...[...system.nodes].map(([n, { pid }]) => ({ name: `the primary of node ${n}`, pid })),
  ];
  return {
    atMs: performance.now(),
    logLines: logLines(system),
    logins: calls.C_Login,
    hsmCalls: Object.values(calls).reduce((sum, count) => sum + count, 0),
    processes: new Map(watched.flatMap(({ name, pid }) => [...usage(pid)].map((used) => [pid, { name, ...used }]))),
  };
}

/** One sentence for each storm. Pure. */
export function storms(before: Effort, after: Effort, requests: number): readonly string[] {
  const problems: string[] = [];
  const tooMany = (count: number, most: number, what: string): void => {
    if (count > most) problems.push(`${count} ${what}, more than ${most}`);
  };
  tooMany(after.logLines - before.logLines, mostLogLines, 'lines were logged');
  tooMany(after.logins - before.logins, mostLogins, 'logins');
  tooMany(after.hsmCalls - before.hsmCalls, callsPerRow + callsPerRequest * requests, 'PKCS#11 calls');
  const lastedMs = after.atMs - before.atMs;
  for (const [pid, { name, cpuMs, residentMb }] of after.processes) {
    const then = before.processes.get(pid);
    if (then === undefined) continue;
    tooMany(Math.round(residentMb - then.residentMb), mostGrowthMb, `MB more are resident in ${name}`);
    if (name !== 'the API')
      tooMany(Math.round(cpuMs - then.cpuMs), Math.round(lastedMs * primaryShare) + 1_000, `ms of CPU in ${name}`);
  }
  return problems;
}

function logLines({ system: { places } }: FaultSystem): number {
  const texts = readdirSync(places.logs).map((name) => readFileSync(join(places.logs, name), 'utf8'));
  return texts.reduce((sum, text) => sum + text.split('\n').length, 0);
}

/** Nothing for a process that is gone, or where there is no /proc. */
function usage(pid: number): { readonly cpuMs: number; readonly residentMb: number }[] {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // A tick is 10 ms on every Linux that Node.js runs on.
    return [{ cpuMs: ticks * 10, residentMb: Number(resident) / 1_024 }];
  } catch {
    return [];
  }
}
