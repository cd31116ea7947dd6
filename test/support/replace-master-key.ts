import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import { CKA, CKK, CKM, CKO } from '../../src/worker/hsm/constants.ts';
import type { Template } from '../../src/worker/hsm/module.ts';
import { load, logIn } from './in-process.ts';

interface Replacement {
  readonly slot: SlotConfiguration;
  readonly label: string;
  /** Flags that are not as the ceremony makes them. */
  readonly changes: readonly Flag[];
}

type Flag = readonly [type: number, value: boolean];

/**
 * Puts another AES key of the same label and id in the master key's place, as somebody with the PIN could while a node works
 * with the token. In a process of its own: run as a script, it is that process.
 */
export async function replaceMasterKey(
  slot: SlotConfiguration,
  label: string,
  changes: readonly Flag[] = [],
): Promise<void> {
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  const child = fork(import.meta.filename, { serialization: 'advanced', execArgv: [], env });
  child.send({ slot, label, changes } satisfies Replacement);
  const ended = once(child, 'exit').then(() => ['ended']);
  const [answer] = await Promise.race([once(child, 'message'), ended]);
  if (answer !== 'replaced') throw new Error(`the process that replaces the master key ${answer}`);
}

function stranger(label: string, id: Buffer, changes: readonly Flag[]): Template {
  const changed = new Map(changes);
  const flag = (type: number, value: boolean) => ({ type, value: Buffer.from([Number(changed.get(type) ?? value)]) });
  const ulong = (value: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  return [
    { type: CKA.CLASS, value: ulong(CKO.SECRET_KEY) },
    { type: CKA.KEY_TYPE, value: ulong(CKK.AES) },
    { type: CKA.VALUE_LEN, value: ulong(32) },
    { type: CKA.LABEL, value: Buffer.from(label) },
    { type: CKA.ID, value: id },
    ...[CKA.TOKEN, CKA.PRIVATE, CKA.SENSITIVE, CKA.WRAP, CKA.UNWRAP].map((type) => flag(type, true)),
    ...[CKA.EXTRACTABLE, CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.DERIVE].map((type) => flag(type, false)),
    // Nothing may follow it.
    flag(CKA.MODIFIABLE, false),
  ];
}

if (import.meta.main) {
  const [{ slot, label, changes }] = (await once(process, 'message')) as [Replacement];
  const cryptoki = load(slot);
  const session = logIn(cryptoki, slot);
  const [key] = cryptoki.find(session, [{ type: CKA.LABEL, value: Buffer.from(label) }], 1);
  if (key === undefined) throw new Error(`there is no ${label}`);
  const id = cryptoki.attribute(session, key, CKA.ID);
  cryptoki.destroyObject(session, key);
  cryptoki.generateKey(session, { mechanism: CKM.AES_KEY_GEN }, stranger(label, id, changes));
  process.send?.('replaced');
  process.disconnect?.();
}
