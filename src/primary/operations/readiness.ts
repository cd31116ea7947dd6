import type { ApiTrouble, WorkerReport } from '../../shared/worker-report.ts';
import type { SlotView } from '../supervisor.ts';

/**
 * Ready: a slot was ready and had leased once since this node's start. A later loss of the API or of an HSM is an alert,
 * never a reason to take the node out or to restart it: a restart would mend nothing, and try PINs again.
 */
export interface Readiness {
  readonly ready: boolean;
  /** What is missing, or, when it is ready, what is not well all the same. */
  readonly reasons: readonly string[];
}

export interface ReadinessWatch {
  /** Look at the slots as they are now; call it whenever one has changed. */
  note(slots: readonly SlotView[]): void;
  now(slots: readonly SlotView[], stopping: boolean): Readiness;
}

export function createReadinessWatch(): ReadinessWatch {
  let reached = false;
  return {
    note(slots) {
      reached ||= slots.some(({ record: { state, report } }) => state === 'ready' && works(report));
    },
    now(slots, stopping) {
      this.note(slots);
      const reasons = slots.flatMap(reasonsOf);
      if (stopping) return { ready: false, reasons: ['the node is stopping', ...reasons] };
      return { ready: reached, reasons };
    },
  };
}

/** It asks for work and was answered. A rotation slot has nobody to ask. */
export function works(report: WorkerReport | undefined): boolean {
  return report?.leasedOnce === true || report?.api === 'none';
}

function reasonsOf({ configuration: { name }, record: { state, why, report } }: SlotView): string[] {
  if (state !== 'ready') return [`slot ${name} is ${state}: ${why}`];
  if (report === undefined) return [`slot ${name} has not reported yet`];
  return [
    ...(report.api === 'lost' ? [`slot ${name} ${apiLossOf(report.apiTrouble)}`] : []),
    ...(report.database === 'lost' ? [`slot ${name} cannot reach the driver database`] : []),
    ...(works(report) ? [] : [`slot ${name} has not asked for work yet`]),
    ...(report.breaker === 'closed' ? [] : [`slot ${name} takes no work: its breaker is ${report.breaker}`]),
  ];
}

/** What a slot says of the signing API, after its name. */
export function apiLossOf(trouble: ApiTrouble | undefined): string {
  if (trouble === undefined) return 'cannot reach the signing API';
  const { kind, said } = trouble;
  switch (kind) {
    case 'unreachable':
      return `cannot reach the signing API: ${said}`;
    case 'unwell':
      return `is answered with an error by the signing API: ${said}`;
    case 'refused':
      return `is refused by the signing API: ${said}`;
    default:
      return kind satisfies never;
  }
}
