import type { Curve } from '../shared/keys.ts';
import { flag, valueIsRefused } from '../worker/hsm/attributes.ts';
import { CKA, CKK, CKO } from '../worker/hsm/constants.ts';
import { Pkcs11Fault } from '../worker/hsm/fault.ts';
import type { Handle, Template } from '../worker/hsm/module.ts';
import type { Session } from '../worker/hsm/session.ts';
import { unwrapTemplate } from '../worker/hsm/templates.ts';
import { unwrapKey } from '../worker/hsm/wrap.ts';

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

interface LaxTemplate {
  readonly what: string;
  readonly template: Template;
  /** The attribute that the thief wants, and its value; without one, any key is what he wants. */
  readonly effect?: readonly [number, boolean];
}

function laxTemplates(curve: Curve): readonly LaxTemplate[] {
  const strict = unwrapTemplate(curve);
  const instead = (what: string, type: number, value: boolean): LaxTemplate => {
    return { what, template: strict.map((one) => (one.type === type ? { type, value } : one)), effect: [type, value] };
  };
  return [
    instead('as extractable', CKA.EXTRACTABLE, true),
    instead('as not sensitive', CKA.SENSITIVE, false),
    instead('as a token object', CKA.TOKEN, true),
    instead('for derivation', CKA.DERIVE, true),
    {
      what: 'without saying that it is not extractable',
      template: strict.filter(({ type }) => type !== CKA.EXTRACTABLE),
      effect: [CKA.EXTRACTABLE, true],
    },
    {
      what: 'as a generic secret',
      template: [
        { type: CKA.CLASS, value: CKO.SECRET_KEY },
        { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
        { type: CKA.TOKEN, value: false },
        { type: CKA.SENSITIVE, value: false },
        { type: CKA.EXTRACTABLE, value: true },
      ],
    },
  ];
}

function isRefused(attempt: () => unknown): boolean {
  try {
    return attempt() === false;
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return true;
    throw error;
  }
}
