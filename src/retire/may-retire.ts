import type { ClusterNode, NodeSlot } from '../primary/cluster/nodes.ts';

/** What the decision rests on. */
export interface Retirement {
  readonly serial: string;
  readonly nodes: readonly ClusterNode[];
  /** Master and integrity keys that rows of the database name. */
  readonly keysInUse: readonly string[];
  /** So many other HSMs must prove each of them. */
  readonly others: number;
}

/** Why the HSM cannot be retired now, as sentences; none: it can. Pure. */
export function whyNotRetire({ serial, nodes, keysInUse, others }: Retirement): string[] {
  const slots = nodes.flatMap((node) => node.slots.map((slot) => ({ node, slot })));
  const using = slots.filter(({ slot }) => isOn(slot, serial));
  const ready = slots.filter(
    ({ node, slot }) => node.live && slot.state === 'ready' && slot.purpose === undefined && !isOn(slot, serial),
  );
  return [
    ...using.map(
      ({ node, slot }) =>
        `node ${node.node}${node.live ? '' : ' (not running)'} has it as slot ${slot.name}: take the slot out of its configuration and reload it`,
    ),
    ...keysInUse.flatMap((key) => {
      const tokens = new Set(ready.filter(({ slot }) => slot.keys?.includes(key)).map(({ slot }) => slot.token));
      return tokens.size >= others
        ? []
        : [`${tokens.size} other ready HSMs prove ${key}, ${others} must: ${[...tokens].join(', ') || 'none'}`];
    }),
  ];
}

/** `token` is label and serial number, where known. */
function isOn({ token }: NodeSlot, serial: string): boolean {
  return token.split(' ').at(-1) === serial;
}
