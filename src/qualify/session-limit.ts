import { Pkcs11Fault } from '../worker/hsm/fault.ts';
import type { Cryptoki, Handle } from '../worker/hsm/module.ts';
import type { SessionFacts } from './calls.ts';

/** As many as a slot may be configured to have. */
const bound = 64;

/**
 * Opens sessions one after another, beside the one that is open already, until one is refused or the bound is reached, and
 * closes them all again: an HSM at work has other clients that need some.
 */
export function findSessionLimit(cryptoki: Cryptoki, slot: Handle): SessionFacts {
  const sessions: Handle[] = [];
  try {
    while (sessions.length + 1 < bound) sessions.push(cryptoki.openSession(slot));
    return { opened: bound };
  } catch (error) {
    // A token that is gone has refused nothing.
    if (!(error instanceof Pkcs11Fault) || error.ckr.gone === true) throw error;
    return { opened: sessions.length + 1, refusal: error.ckr.name };
  } finally {
    for (const session of sessions) cryptoki.closeSession(session);
  }
}
