import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import { CKA } from '../../src/worker/hsm/constants.ts';
import { load, logIn } from './in-process.ts';

/**
 * One attribute of every object on a token that the user can see (its label, unless another is asked for), as text for
 * labels and hex for the rest. In a process of its own: run as a script, it is that process.
 */
export async function objectsOn(slot: SlotConfiguration, attribute: number = CKA.LABEL): Promise<string[]> {
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  const child = fork(import.meta.filename, { serialization: 'advanced', execArgv: [], env });
  child.send({ slot, attribute });
  const ended = once(child, 'exit').then(() => [[`the process that looks at token ${slot.name} ended`]]);
  const [found] = (await Promise.race([once(child, 'message'), ended])) as [string[]];
  return found.sort();
}

if (import.meta.main) {
  const [{ slot, attribute }] = (await once(process, 'message')) as [{ slot: SlotConfiguration; attribute: number }];
  const cryptoki = load(slot);
  const session = logIn(cryptoki, slot);
  const values = cryptoki.find(session, [], 100).map((object) => cryptoki.attribute(session, object, attribute));
  process.send?.(values.map((one) => one.toString(attribute === CKA.LABEL ? 'utf8' : 'hex')));
  process.disconnect?.();
}
