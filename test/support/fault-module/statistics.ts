import { closeSync, existsSync, ftruncateSync, linkSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { type FunctionName, functionNames } from './functions.ts';
import { type FaultAction, faultActions } from './rules.ts';

/** What one process did, or all of them together. */
export interface CallStatistics {
  /** Calls that were begun, by function. */
  readonly calls: Readonly<Record<FunctionName, number>>;
  /** Those of them whose caller got something other than CKR_OK. */
  readonly failed: Readonly<Record<FunctionName, number>>;
  /** Those of them to which a rule applied. */
  readonly faulted: Readonly<Record<FunctionName, number>>;
  /** Times that a rule applied, by action. */
  readonly applied: Readonly<Record<FaultAction, number>>;
  /** Calls that have not ended, hung ones and those of killed processes included. */
  readonly inFlight: number;
  /** Of the real module, as its answers say; closed by the module itself or by a fault counts too. */
  readonly sessions: { readonly opened: number; readonly closed: number; readonly open: number };
  /** Made and destroyed by a call of their own: those that went with their session are still counted as left. */
  readonly objects: { readonly made: number; readonly destroyed: number; readonly left: number };
  /** C_Login that answered CKR_PIN_INCORRECT or CKR_PIN_LOCKED, whoever said so. */
  readonly loginsRefused: number;
  /** Lines of the control file that were not understood, each time that the file was read. */
  readonly badLines: number;
}

export interface ProcessStatistics extends CallStatistics {
  /** 0: several processes, those for which the file had no room left. */
  readonly pid: number;
  /** Its HSM_FAULT_TAG. */
  readonly tag: string;
  /** Versions of the control file that it has read. */
  readonly versionsRead: number;
  /** The most calls that were in flight at one time. */
  readonly inFlightMax: number;
}

export interface FaultStats extends CallStatistics {
  /** In the order in which they loaded the module. */
  readonly processes: readonly ProcessStatistics[];
}

// The layout of struct statistics in statistics.h.
const magic = 'HSMFLT01';
const generationOffset = 8;
const usedOffset = 16;
const processesOffset = 4096 + 1024 * 24;
const processBytes = 4096;
const maxProcesses = 128;
const fileBytes = processesOffset + maxProcesses * processBytes;
const fields = {
  pid: 0,
  tag: 8,
  numbers: 72,
  applied: 136,
  calls: 264,
  failed: 840,
  faulted: 1416,
  versionsRead: 1992,
};
const tagBytes = 64;

/** Makes an empty file, unless there is one. */
export function createStatistics(file: string): void {
  if (existsSync(file)) return;
  const unfinished = `${file}.${process.pid}`;
  const handle = openSync(unfinished, 'wx', 0o600);
  try {
    ftruncateSync(handle, fileBytes);
    writeSync(handle, magic, 0);
    // Under its name only when it is whole: a process may be about to map it.
    linkSync(unfinished, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    closeSync(handle);
    rmSync(unfinished);
  }
}

/** Tells all processes that the control file is another one: they read it at their next call. */
export function raiseGeneration(file: string): void {
  const handle = openSync(file, 'r+');
  try {
    const generation = Buffer.alloc(8);
    readSync(handle, generation, 0, 8, generationOffset);
    generation.writeBigUInt64LE(generation.readBigUInt64LE() + 1n);
    writeSync(handle, generation, 0, 8, generationOffset);
  } finally {
    closeSync(handle);
  }
}

/** @throws Error when the file is none of the module's. */
export function readStatistics(file: string): FaultStats {
  const handle = openSync(file, 'r');
  try {
    const head = read(handle, 0, 24);
    if (head.toString('latin1', 0, 8) !== magic) {
      throw new Error(`${file} is not a statistics file of this fault module; name the one in HSM_FAULT_STATS`);
    }
    const used = Math.min(Number(head.readBigUInt64LE(usedOffset)), maxProcesses);
    const processes = Array.from({ length: used }, (_, index) =>
      processStatistics(read(handle, processesOffset + index * processBytes, processBytes)),
    );
    return { ...total(processes), processes };
  } finally {
    closeSync(handle);
  }
}

function read(handle: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(handle, bytes, 0, length, offset));
}

function processStatistics(bytes: Buffer): ProcessStatistics {
  const at = (offset: number, index = 0): number => Number(bytes.readBigUInt64LE(offset + 8 * index));
  const number = (index: number): number => at(fields.numbers, index);
  const byFunction = (offset: number): Record<FunctionName, number> => record(functionNames, (_, i) => at(offset, i));
  return {
    pid: at(fields.pid),
    tag: bytes.toString('utf8', fields.tag, fields.tag + tagBytes).replace(/\0.*$/s, ''),
    versionsRead: at(fields.versionsRead),
    inFlight: number(0),
    inFlightMax: number(1),
    sessions: { opened: number(2), closed: number(3), open: number(2) - number(3) },
    objects: { made: number(4), destroyed: number(5), left: number(4) - number(5) },
    loginsRefused: number(6),
    badLines: number(7),
    applied: record(faultActions, (_, index) => at(fields.applied, index)),
    calls: byFunction(fields.calls),
    failed: byFunction(fields.failed),
    faulted: byFunction(fields.faulted),
  };
}

function total(processes: readonly ProcessStatistics[]): CallStatistics {
  const sum = (value: (process: ProcessStatistics) => number): number =>
    processes.reduce((before, process) => before + value(process), 0);
  const byFunction = (counts: 'calls' | 'failed' | 'faulted'): Record<FunctionName, number> =>
    record(functionNames, (name) => sum((process) => process[counts][name]));
  return {
    calls: byFunction('calls'),
    failed: byFunction('failed'),
    faulted: byFunction('faulted'),
    applied: record(faultActions, (action) => sum((process) => process.applied[action])),
    inFlight: sum((process) => process.inFlight),
    sessions: {
      opened: sum((process) => process.sessions.opened),
      closed: sum((process) => process.sessions.closed),
      open: sum((process) => process.sessions.open),
    },
    objects: {
      made: sum((process) => process.objects.made),
      destroyed: sum((process) => process.objects.destroyed),
      left: sum((process) => process.objects.left),
    },
    loginsRefused: sum((process) => process.loginsRefused),
    badLines: sum((process) => process.badLines),
  };
}

function record<Key extends string>(
  keys: readonly Key[],
  value: (key: Key, index: number) => number,
): Record<Key, number> {
  return Object.fromEntries(keys.map((key, index) => [key, value(key, index)])) as Record<Key, number>;
}
