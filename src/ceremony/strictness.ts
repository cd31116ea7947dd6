import { CodedError } from '../shared/errors.ts';
import type { Curve } from '../shared/keys.ts';
import { valueIsRefused } from '../worker/hsm/attributes.ts';
import { CKA, CKK, CKO } from '../worker/hsm/constants.ts';
import { Pkcs11Fault } from '../worker/hsm/fault.ts';
import type { Handle, Template } from '../worker/hsm/module.ts';
import type { Session } from '../worker/hsm/session.ts';
import { unwrapTemplate } from '../worker/hsm/templates.ts';
import { unwrapKey } from '../worker/hsm/wrap.ts';

/**
 * Tries, on a token that just received the master key, what a thief with the PIN and a blob would try. Each must be
 * refused; a token that ignores the master key's attributes is no place for it.
 * @param blob a wrapped key of `curve`, made under this master key.
 * @throws CEREMONY_REFUSED naming what was not refused.
 */
export function checkStrictness(session: Session, curve: Curve, blob: Buffer): void {
  const { cryptoki, handle, masterKey, wrapMethod } = session;

  mustRefuse('setting CKA_DECRYPT on the master key', () =>
    cryptoki.setAttributes(handle, masterKey, [{ type: CKA.DECRYPT, value: true }]),
  );
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

function mustRefuse(what: string, attempt: () => void): void {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return;
    throw error;
  }
  throw new CodedError('CEREMONY_REFUSED', `the token allows ${what}, which the master key’s attributes forbid`);
}
