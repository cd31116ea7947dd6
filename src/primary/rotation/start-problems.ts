import type { WantedRotation } from '../../shared/rotation/rotation-rows.ts';
import type { ClusterNode, NodeSlot } from '../cluster/nodes.ts';

/**
 * Why a rotation must not start now: pure, over what the live nodes say of themselves. Every signing slot must have proven
 * both keys, or requests for rows under the one it lacks would wait for others; and make new keys under the new one, or the
 * rotation would never end.
 * @returns whole sentences; empty when it may start.
 */
export function startProblems({ kind, fromId, toId }: WantedRotation, nodes: readonly ClusterNode[]): string[] {
  const slots = nodes
    .filter((node) => node.live)
    .flatMap(({ node, slots: ofNode }) => ofNode.map((slot) => ({ ...slot, where: `slot ${node}/${slot.name}` })));
  const signing = slots.filter((slot) => slot.purpose !== 'rotation');
  const problems = signing.flatMap((slot) => slotProblems(slot, kind, fromId, toId));
  if (signing.length === 0) problems.push('no signing node is live');
  if (kind === 'master-key') problems.push(...rotationSlotProblems(slots, fromId, toId));
  return problems;
}

type NamedSlot = NodeSlot & { readonly where: string };

function slotProblems(slot: NamedSlot, kind: WantedRotation['kind'], fromId: string, toId: string): string[] {
  const { where, state, why, keys = [], masterKeyId, integrityKeyId } = slot;
  if (state !== 'ready') return [`${where} is ${state} (${why}): what it holds is not known`];
  const lacks = [toId, fromId].filter((id) => !keys.includes(id));
  if (lacks.length > 0) {
    return lacks.map((id) => `${where} has not proven ${id}: fill its token, and name its ceremony file`);
  }
  const current = kind === 'master-key' ? masterKeyId : integrityKeyId;
  if (current === toId) return [];
  return [`${where} still makes new keys under ${current ?? 'another key'}: ceremonyFile must be that of ${toId}`];
}

/** Its own strict copy of the new key wraps, its rotation object of the old one unwraps. */
function rotationSlotProblems(slots: readonly NamedSlot[], fromId: string, toId: string): string[] {
  const able = slots.some(
    ({ purpose, state, masterKeyId, rotates = [] }) =>
      purpose === 'rotation' && state === 'ready' && masterKeyId === toId && rotates.includes(fromId),
  );
  return able ? [] : [`no rotation node is ready that re-wraps from ${fromId} to ${toId}`];
}
