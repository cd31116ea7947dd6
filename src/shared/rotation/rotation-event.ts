import type { AuditEvent } from '../audit/event.ts';
import type { WantedRotation } from './rotation-rows.ts';

/** What the audit log tells of a step of a rotation. */
export function rotationEvent({ kind, fromId, toId }: WantedRotation, step: string, rows?: number): AuditEvent {
  const what = kind === 'master-key' ? 'master key' : 'integrity key';
  return { kind: 'rotation', what, step, from: fromId, to: toId, ...(rows === undefined ? {} : { rows }) };
}
