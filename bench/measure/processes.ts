import { readdirSync, readFileSync } from 'node:fs';

/** CPU and memory of processes, all their threads included, as the kernel counts them (proc(5)). Linux only. */

/** USER_HZ: the unit of /proc times, 100 a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

export const canMeasureProcesses = process.platform === 'linux';

interface ProcessTimes {
  readonly parent: number;
  readonly cpuMs: number;
  /** Of its children that have ended. */
  readonly endedCpuMs: number;
}

/** Undefined for a process that is gone. */
function readTimes(pid: number): ProcessTimes | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in brackets and may hold anything; what follows it are numbers.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ms = (field: number): number => (Number(fields[field]) * 1_000) / ticksPerSecond;
    return { parent: Number(fields[1]), cpuMs: ms(11) + ms(12), endedCpuMs: ms(13) + ms(14) };
  } catch {
    return undefined;
  }
}

export function childrenOf(pid: number): number[] {
  if (!canMeasureProcesses) return [];
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.map(Number).filter((one) => readTimes(one)?.parent === pid);
}

/** Since their starts, all together. */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (readTimes(pid)?.cpuMs ?? 0), 0);
}

/** Of a process and all its children, those that come and go included. */
export function cpuMsOfFamily(pid: number): number {
  const parent = readTimes(pid);
  return (parent?.cpuMs ?? 0) + (parent?.endedCpuMs ?? 0) + cpuMsOf(childrenOf(pid));
}

/** Resident set, megabytes. */
export function residentMb(pid: number): number {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes ?? Number.NaN) / 1024;
  } catch {
    return Number.NaN;
  }
}

/** Proportional set size, megabytes: memory that several processes share counts for each of them in part. */
export function proportionalMb(pid: number): number {
  try {
    const [, kilobytes] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
    return Number(kilobytes ?? Number.NaN) / 1024;
  } catch {
    return Number.NaN;
  }
}
