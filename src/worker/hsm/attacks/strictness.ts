import type { Curve } from '../../../shared/keys.ts';
import { flag, valueIsRefused } from '../attributes.ts';
import { CKA } from '../constants.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Handle } from '../module.ts';
import type { Session } from '../session.ts';
import { unwrapKey } from '../wrap.ts';
import { laxTemplates } from './lax-templates.ts';

/**
 * Tries, on a token that holds the master key, what a thief with the PIN and a blob would try; nothing is left behind.
 * @param blob a wrapped key of `curve`, made under this master key.
 * @returns what the token allows although the master key's attributes forbid it; empty when it enforces them.
 */
export function findLaxness(session: Session, curve: Curve, blob: Buffer): readonly string[] {
  const { cryptoki, handle, masterKey, wrapMethod } = session;
  const allowed: string[] = [];
  /** @param attempt false: the token said yes, and it had no effect. */
  const mustRefuse = (what: string, attempt: () => unknown): void => {
    if (!isRefused(attempt)) allowed.push(what);
  };

  mustRefuse('setting CKA_DECRYPT on the master key', () => {
    cryptoki.setAttributes(handle, masterKey, [{ type: CKA.DECRYPT, value: true }]);
    cryptoki.setAttributes(handle, masterKey, [{ type: CKA.DECRYPT, value: false }]);
  });
  for (const { what, template, effect } of laxTemplates(curve)) {
    mustRefuse(`unwrapping a key ${what}`, () => {
      const key = unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, template);
      try {
        // Some tokens make the key as the master key's template demands, whatever the call says: no harm is done.
        return effect === undefined || flag(cryptoki, handle, key, effect[0]) !== !effect[1];
      } finally {
        cryptoki.destroyObject(handle, key);
      }
    });
  }
  valueIsRefused(cryptoki, handle, masterKey, 'the master key');
  session.withUnwrapped(curve, blob, (key: Handle) => {
    valueIsRefused(cryptoki, handle, key, 'an unwrapped key');
    mustRefuse('wrapping an unwrapped key again', () => session.wrap(key));
  });
  return allowed;
}

function isRefused(attempt: () => unknown): boolean {
  try {
    return attempt() === false;
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return true;
    throw error;
  }
}
