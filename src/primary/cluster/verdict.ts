import type { ClusterNode, NodeSlot } from './nodes.ts';

/** What the leader says of the whole cluster: pure, over the nodes' rows. For people and alerts; nothing waits for it. */
export interface Verdict {
  readonly nodes: { readonly live: readonly string[]; readonly dead: readonly string[] };
  readonly slots: {
    readonly ready: readonly string[];
    readonly notReady: readonly { readonly slot: string; readonly state: string; readonly why: string }[];
  };
  /** Whole sentences, the same for as long as their cause lasts. */
  readonly alarms: readonly string[];
}

/** A slot that is replaced or probed for a moment is no alarm. */
const notReadyMs = 10_000;

export function verdictOf(nodes: readonly ClusterNode[]): Verdict {
  const live = nodes.filter((one) => one.live);
  const dead = nodes.filter((one) => !one.live).map((one) => one.node);
  const slots = live.flatMap(({ node, slots: ofNode }) =>
    ofNode.map((slot) => ({ ...slot, where: `${node}/${slot.name}` })),
  );
  const ready = slots.filter((slot) => slot.state === 'ready');
  const notReady = slots.filter((slot) => slot.state !== 'ready');
  const masterKeys = new Set(ready.flatMap(({ masterKeyId }) => (masterKeyId === undefined ? [] : [masterKeyId])));
  // During a rotation some slots make new keys under the old one and some under the new one: fine where each holds both.
  const lacks = ({ masterKeyId, keys = [], purpose }: NodeSlot): boolean =>
    masterKeyId !== undefined &&
    purpose !== 'rotation' &&
    [...masterKeys].some((id) => id !== masterKeyId && !keys.includes(id));
  const versions = new Set(live.map((one) => one.version));
  const late = notReady.filter(({ state, forMs }) => state === 'latched' || forMs >= notReadyMs);
  return {
    nodes: { live: live.map((one) => one.node), dead },
    slots: {
      ready: ready.map((slot) => slot.where),
      notReady: notReady.map(({ where, state, why }) => ({ slot: where, state, why })),
    },
    alarms: [
      ...(ready.length === 0 ? ['no slot of the cluster is ready'] : []),
      ...dead.map((node) => `node ${node} is dead`),
      ...late.map(({ where, state }) => `slot ${where} is ${state}`),
      ...(ready.some(lacks) ? [`slots hold different master keys: ${[...masterKeys].sort().join(', ')}`] : []),
      ...(versions.size > 1 ? [`nodes run different versions: ${[...versions].sort().join(', ')}`] : []),
    ],
  };
}
