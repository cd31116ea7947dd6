import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import type { WrappedKey } from '../../src/worker/wrapped-key.ts';
import { open, value } from './open-hsm.ts';
import type { SoftKeyStore } from './soft-token.ts';

/** Signs with another slot's token in a process of its own: run as a script, it is that process. */
interface Order {
  readonly store: Pick<SoftKeyStore, 'ceremony' | 'keyStore'>;
  readonly slot: SlotConfiguration;
  readonly key: WrappedKey;
  readonly digests: readonly Buffer[];
}

/** @returns r‖s of each digest, hex. */
export async function signElsewhere(
  { ceremony, keyStore }: Order['store'],
  slot: SlotConfiguration,
  key: WrappedKey,
  digests: readonly Buffer[],
): Promise<readonly string[]> {
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  const child = fork(import.meta.filename, { serialization: 'advanced', execArgv: [], env });
  child.send({ store: { ceremony, keyStore }, slot, key, digests } satisfies Order);
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => [{ error: 'it ended' }]),
  ])) as [{ signatures?: string[]; error?: string }];
  if (message.signatures === undefined) throw new Error(`signing elsewhere failed: ${message.error}`);
  return message.signatures;
}

if (import.meta.main) {
  const [order] = (await once(process, 'message')) as [Order];
  try {
    const hsm = await open(order.store, order.slot);
    const [answer] = await hsm.sign([
      { key: order.key, requests: [{ requestId: 'sig-elsewhere', digests: order.digests }] },
    ]);
    process.send?.({ signatures: value(answer?.[0]).map(({ rs }) => rs) });
    await hsm.stop();
  } catch (error) {
    process.send?.({ error: String(error) });
  }
  process.disconnect?.();
}
