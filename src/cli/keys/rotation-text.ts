import type { Rotation } from '../../shared/rotation/rotation-rows.ts';

/** A rotation for people, in one line. */
export function rotationText({ kind, fromId, toId, state, moved, total, stuck, proof }: Rotation): string {
  const what = kind === 'master-key' ? 're-wrapped' : 're-tagged';
  const trouble = stuck.length === 0 ? '' : `; ${stuck.length} could not be ${what}: ${stuck.slice(0, 5).join(', ')}`;
  const proven =
    proof === null ? '' : `; at ${proof.at} one statement found ${proof.underOldKey} rows under the old key`;
  return `${kind} ${fromId} to ${toId}, ${state}, ${moved} of ${total} keys ${what}${trouble}${proven}`;
}
