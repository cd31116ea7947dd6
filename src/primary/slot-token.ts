import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import type { SlotFacts } from '../shared/worker-report.ts';

/** What slots share when they share an HSM: three answers, since three things are at stake. */

/** Within this node: who must not start at the same moment, and who hears of another's device fault. */
export function tokenInNode({ module, tokenLabel, tokenSerial = '' }: SlotConfiguration): string {
  return JSON.stringify([module, tokenLabel, tokenSerial]);
}

/** Across nodes, where paths may differ: who reconnects one after the other. */
export function tokenInCluster({ tokenLabel, tokenSerial }: SlotConfiguration, facts: SlotFacts | undefined): string {
  return `${tokenLabel} ${tokenSerial ?? facts?.token.serial ?? ''}`.trim();
}

/** Who shares a PIN counter: a new PIN is proven by one of them before another tries it. */
export function pinGroup(slot: SlotConfiguration): string {
  return slot.pinGuardGroup ?? slot.tokenSerial ?? tokenInNode(slot);
}

/** Whether an order for one counter is meant for this slot. What is not known of it speaks for it: the guard decides. */
export function mayShareCounter(
  { pinGuardGroup, tokenLabel, tokenSerial }: SlotConfiguration,
  facts: SlotFacts | undefined,
  order: { readonly guardGroup: string; readonly tokenSerial: string; readonly tokenLabel: string },
): boolean {
  if (pinGuardGroup !== undefined) return order.guardGroup === pinGuardGroup;
  const serial = tokenSerial ?? facts?.token.serial;
  if (serial !== undefined) return order.guardGroup === serial || order.tokenSerial === serial;
  return order.tokenLabel === tokenLabel;
}
