import { ulong } from '../ceremony/unwrap-master-key.ts';
import type { Curve } from '../shared/keys.ts';
import { flag } from '../worker/hsm/attributes.ts';
import { CKA, CKK, CKM, CKO } from '../worker/hsm/constants.ts';
import { Pkcs11Fault } from '../worker/hsm/fault.ts';
import type { Handle, Template } from '../worker/hsm/module.ts';
import type { Session } from '../worker/hsm/session.ts';
import { unwrapTemplate } from '../worker/hsm/templates.ts';
import { unwrapKey } from '../worker/hsm/wrap.ts';
import type { Attack } from './calls.ts';

/**
 * What somebody with the PIN and a wrapped key would try, each run on a master key that is thrown away. What an attack
 * made is destroyed at once. An attribute counts as changed only when the change has the effect the thief wants, because
 * some tokens answer CKR_OK and change nothing.
 * @param session on the throw-away master key.
 */
export function tryAttacks(session: Session, curve: Curve): readonly Attack[] {
  const { cryptoki, handle, masterKey, wrapMethod } = session;
  const blob = session.withNewKey(curve, (privateKey) => session.wrap(privateKey));
  const strict = unwrapTemplate(curve);
  const instead = (type: number, value: boolean): Template =>
    strict.map((one) => (one.type === type ? { type, value } : one));
  const unwrap = (template: Template, effect?: readonly [number, boolean]): void => {
    const key = unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, template);
    try {
      if (effect !== undefined) mustHave(session, key, ...effect);
    } finally {
      session.destroy(key);
    }
  };
  const set = (template: Template): void => cryptoki.setAttributes(handle, masterKey, template);
  const extractable = instead(CKA.EXTRACTABLE, true);

  const attacks = [
    attempt('read the value of the master key', () => mustHide(session, masterKey)),
    attempt('read the value of an unwrapped key', () =>
      session.withUnwrapped(curve, blob, (key) => mustHide(session, key)),
    ),
    attempt('wrap an unwrapped key again, though it is not extractable', () =>
      session.withUnwrapped(curve, blob, (key) => session.wrap(key)),
    ),
    attempt('unwrap as extractable', () => unwrap(extractable, [CKA.EXTRACTABLE, true])),
    attempt('unwrap as not sensitive', () => unwrap(instead(CKA.SENSITIVE, false), [CKA.SENSITIVE, false])),
    attempt('unwrap without saying that it is not extractable', () =>
      unwrap(
        strict.filter(({ type }) => type !== CKA.EXTRACTABLE),
        [CKA.EXTRACTABLE, true],
      ),
    ),
    attempt('unwrap as a secret key', () => unwrap(secretKey)),
    attempt('unwrap as a token object', () => unwrap(instead(CKA.TOKEN, true), [CKA.TOKEN, true])),
    attempt('copy the master key (C_CopyObject), free of its limits', () => {
      const limits: Template = [
        { type: CKA.DECRYPT, value: true },
        { type: CKA.ALLOWED_MECHANISMS, value: ulong(CKM.AES_ECB) },
      ];
      session.destroy(cryptoki.copyObject(handle, masterKey, limits));
    }),
    attempt('copy the master key (C_CopyObject)', () => session.destroy(cryptoki.copyObject(handle, masterKey, []))),
    attempt('widen CKA_ALLOWED_MECHANISMS', () => {
      const both = Buffer.concat([ulong(wrapMethod.mechanism), ulong(CKM.AES_ECB)]);
      set([{ type: CKA.ALLOWED_MECHANISMS, value: both }]);
      mustBe(session, CKA.ALLOWED_MECHANISMS, both);
    }),
    attempt('set CKA_DECRYPT, then decrypt the blob with CKM_AES_ECB', () => {
      set([{ type: CKA.DECRYPT, value: true }]);
      cryptoki.decrypt(handle, { mechanism: CKM.AES_ECB }, masterKey, blob.subarray(0, 16)).fill(0);
    }),
    attempt('decrypt the blob with its own mechanism', () => {
      cryptoki.decrypt(handle, { mechanism: wrapMethod.mechanism }, masterKey, blob).fill(0);
    }),
    attempt('empty CKA_UNWRAP_TEMPLATE, then unwrap as extractable', () => {
      set([{ type: CKA.UNWRAP_TEMPLATE, value: Buffer.alloc(0) }]);
      unwrap(extractable, [CKA.EXTRACTABLE, true]);
    }),
  ];
  // Told, because it may be a token object that stays.
  if (session.tainted)
    attacks.push({ name: 'make a key that cannot be destroyed', refused: false, answer: 'possible' });
  return attacks;
}

const secretKey: Template = [
  { type: CKA.CLASS, value: CKO.SECRET_KEY },
  { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
  { type: CKA.TOKEN, value: false },
  { type: CKA.SENSITIVE, value: false },
  { type: CKA.EXTRACTABLE, value: true },
];

/** Said by an attack that the token answered CKR_OK to, and that had no effect. */
class WithoutEffect extends Error {}

function attempt(name: string, attack: () => unknown): Attack {
  try {
    attack();
    return { name, refused: false, answer: 'possible' };
  } catch (error) {
    if (error instanceof WithoutEffect) return { name, refused: true, answer: error.message };
    if (error instanceof Pkcs11Fault && error.ckr.gone !== true) {
      return { name, refused: true, answer: error.ckr.name };
    }
    throw error;
  }
}

function mustHide({ cryptoki, handle }: Session, key: Handle): void {
  const value = cryptoki.attribute(handle, key, CKA.VALUE);
  const { length } = value;
  value.fill(0);
  if (length === 0) throw new WithoutEffect('an empty value');
}

/** A token may fill in what the call left out, and override what it said (PKCS#11 3.1 leaves room for both). */
function mustHave({ cryptoki, handle }: Session, key: Handle, type: number, wanted: boolean): void {
  if (flag(cryptoki, handle, key, type) === !wanted)
    throw new WithoutEffect('CKR_OK, but made as the template demands');
}

function mustBe({ cryptoki, handle, masterKey }: Session, type: number, value: Buffer): void {
  if (!cryptoki.attribute(handle, masterKey, type).equals(value)) throw new WithoutEffect('CKR_OK, but not changed');
}
