import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import { CKA } from '../../src/worker/hsm/constants.ts';
import type { KeyName } from '../../src/worker/hsm/delivery/keys.ts';
import { storedIntegrityKey } from '../../src/worker/hsm/delivery/templates.ts';
import type { Template } from '../../src/worker/hsm/module.ts';
import { load, logIn } from './in-process.ts';

interface Replacement {
  readonly slot: SlotConfiguration;
  readonly name: KeyName;
  /** 32 bytes. */
  readonly value: Buffer;
  /** Attributes that are not as the ceremony makes them. */
  readonly changes: Template;
}

/**
 * Puts an integrity key of a known value in the place of the one that is there, as a vendor’s tools could make it. In a
 * process of its own: run as a script, it is that process.
 */
export async function replaceIntegrityKey(
  slot: SlotConfiguration,
  { label, ckaId }: KeyName,
  value: Buffer,
  changes: Template = [],
): Promise<void> {
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  const child = fork(import.meta.filename, { serialization: 'advanced', execArgv: [], env });
  child.send({ slot, name: { label, ckaId }, value, changes } satisfies Replacement);
  const ended = once(child, 'exit').then(() => ['ended']);
  const [answer] = await Promise.race([once(child, 'message'), ended]);
  if (answer !== 'replaced') throw new Error(`the process that replaces the integrity key ${answer}`);
}

if (import.meta.main) {
  const [{ slot, name, value, changes }] = (await once(process, 'message')) as [Replacement];
  const cryptoki = load(slot);
  const session = logIn(cryptoki, slot);
  for (const key of cryptoki.find(session, [{ type: CKA.LABEL, value: Buffer.from(name.label) }], 10))
    cryptoki.destroyObject(session, key);
  const template = storedIntegrityKey(name).map((one) => changes.find(({ type }) => type === one.type) ?? one);
  // Before the others: nothing may follow CKA_MODIFIABLE.
  cryptoki.createObject(session, [{ type: CKA.VALUE, value: Buffer.from(value) }, ...template]);
  process.send?.('replaced');
  process.disconnect?.();
}
