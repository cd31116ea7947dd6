import type { Curve } from '../shared/keys.ts';
import { valueIsRefused } from '../worker/hsm/attributes.ts';
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
  const mustRefuse = (what: string, attempt: () => void): void => {
    if (!isRefused(attempt)) allowed.push(what);
  };

  mustRefuse('setting CKA_DECRYPT on the master key', () => {
    cryptoki.setAttributes(handle, masterKey, [{ type: CKA.DECRYPT, value: true }]);
    cryptoki.setAttributes(handle, masterKey, [{ type: CKA.DECRYPT, value: false }]);
  });
  for (const [what, template] of laxTemplates(curve)) {
    mustRefuse(`unwrapping a key ${what}`, () => {
      cryptoki.destroyObject(handle, unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, template));
    });
  }
  valueIsRefused(cryptoki, handle, masterKey, 'the master key');
  session.withUnwrapped(curve, blob, (key: Handle) => {
    valueIsRefused(cryptoki, handle, key, 'an unwrapped key');
    mustRefuse('wrapping an unwrapped key again', () => session.wrap(key));
  });
  return allowed;
}

function laxTemplates(curve: Curve): readonly (readonly [string, Template])[] {
  const strict = unwrapTemplate(curve);
  const instead = (type: number, value: boolean): Template =>
    strict.map((one) => (one.type === type ? { type, value } : one));
  return [
    ['as extractable', instead(CKA.EXTRACTABLE, true)],
    ['as not sensitive', instead(CKA.SENSITIVE, false)],
    ['as a token object', instead(CKA.TOKEN, true)],
    ['for derivation', instead(CKA.DERIVE, true)],
    ['without saying that it is not extractable', strict.filter(({ type }) => type !== CKA.EXTRACTABLE)],
    [
      'as a generic secret',
      [
        { type: CKA.CLASS, value: CKO.SECRET_KEY },
        { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
        { type: CKA.TOKEN, value: false },
        { type: CKA.SENSITIVE, value: false },
        { type: CKA.EXTRACTABLE, value: true },
      ],
    ],
  ];
}

function isRefused(attempt: () => void): boolean {
  try {
    attempt();
    return false;
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return true;
    throw error;
  }
}
