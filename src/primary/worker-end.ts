import { exitCodes } from '../shared/exit-codes.ts';
import type { SlotFault } from './slot-table.ts';
import type { WorkerEnd } from './worker-handle.ts';

/** What an end means, for people. */
export function meaning({ reason, overdue: hang }: WorkerEnd): string {
  if (hang !== undefined) return hangs[hang];
  return reason === 'SIGNAL' ? 'killed by a signal' : exitCodes[reason].meaning;
}

const hangs: Record<NonNullable<WorkerEnd['overdue']>, string> = {
  CALL_OVERDUE: 'killed: a PKCS#11 call lasted longer than the slot’s callDeadlineMs',
  SILENT: 'killed: it sent no heartbeats',
  START_OVERDUE: 'killed: it did not get through its start on the token',
};

/** An end as fields of a log line. */
export function endFields(end: WorkerEnd): Record<string, unknown> {
  const { code, signal, fault } = end;
  return {
    code,
    signal,
    meaning: meaning(end),
    ...(fault === undefined ? {} : { fault: fault.code, cause: fault.detail }),
  };
}

/** An end as the slot’s last fault. */
export function faultOf(end: WorkerEnd): SlotFault {
  const at = new Date();
  if (end.overdue !== undefined) return { code: end.overdue, detail: meaning(end), at };
  if (end.fault !== undefined) return { ...end.fault, at };
  return {
    code: end.reason === 'SIGNAL' ? 'SIGNAL' : 'INTERNAL',
    detail: `${meaning(end)} (${end.signal ?? end.code})`,
    at,
  };
}
