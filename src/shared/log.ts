import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * One JSON line per event on standard output: a fixed short sentence and fields (request id, key id, slot, code,
 * milliseconds). Written synchronously so that nothing is lost when a process is killed. Secrets are kept out by the
 * code; redaction by path is the second fence.
 */
export function createLog(level: string, bindings: Record<string, string>, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: { pid: process.pid, ...bindings },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ['pin', 'password', 'authorization', '*.pin', '*.password', '*.authorization', '*.privateKey'],
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}
