import { randomBytes } from 'node:crypto';
import type { Curve } from '../../../shared/keys.ts';
import { flag, ulong } from '../attributes.ts';
import { CKA, CKM } from '../constants.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Handle, Template } from '../module.ts';
import type { Session } from '../session.ts';
import { unwrapKey } from '../wrap.ts';
import { asExtractable, type LaxTemplate, laxTemplates } from './lax-templates.ts';

export interface Attack {
  readonly name: string;
  readonly refused: boolean;
  /** The return value that refused it, or what was possible. */
  readonly answer: string;
}

/**
 * What somebody with the PIN and a wrapped key would try, each run on a master key that is thrown away. What an attack
 * made is destroyed at once. An attribute counts as changed only when the change has the effect the thief wants, because
 * some tokens answer CKR_OK and change nothing. A refusal counts only from a token that still does the same work when it
 * is asked as the driver asks: a token that refuses everything has proven nothing.
 * @param session on the throw-away master key.
 * @throws what keeps the token from its own work, before the attacks or after one.
 */
export function tryAttacks(session: Session, curve: Curve): readonly Attack[] {
  const { cryptoki, handle, masterKey, wrapMethod } = session;
  const blob = session.withNewKey(curve, (privateKey) => session.wrap(privateKey));
  const mustWork = (): unknown =>
    session.withUnwrapped(curve, blob, (key) => session.sign(curve, key, randomBytes(32)));
  mustWork();
  const attempt = (name: string, attack: () => unknown): Attack => tried(name, attack, mustWork);
  const unwrap = ({ template, effect }: LaxTemplate): void => {
    const key = unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, template);
    try {
      if (effect !== undefined) mustHave(session, key, ...effect);
    } finally {
      session.destroy(key);
    }
  };
  const set = (template: Template, key = masterKey): void => cryptoki.setAttributes(handle, key, template);
  const onUnwrapped = (attack: (key: Handle) => unknown) => () => session.withUnwrapped(curve, blob, attack);
  const lax = laxTemplates(curve);

  const attacks = [
    attempt('read the value of the master key', () => mustHide(session, masterKey)),
    attempt(
      'read the value of an unwrapped key',
      onUnwrapped((key) => mustHide(session, key)),
    ),
    attempt(
      'wrap an unwrapped key again, though it is not extractable',
      onUnwrapped((key) => session.wrap(key)),
    ),
    ...lax.map((one) => attempt(`unwrap ${one.what}`, () => unwrap(one))),
    ...opening.flatMap(({ what, type, value }) => [
      attempt(
        `make an unwrapped key ${what} afterwards`,
        onUnwrapped((key) => {
          set([{ type, value }], key);
          mustHave(session, key, type, value);
        }),
      ),
      attempt(
        `copy an unwrapped key as ${what} (C_CopyObject)`,
        onUnwrapped((key) => {
          const copy = cryptoki.copyObject(handle, key, [{ type, value }]);
          try {
            mustHave(session, copy, type, value);
          } finally {
            session.destroy(copy);
          }
        }),
      ),
    ]),
    attempt('make the master key extractable', () => {
      set([{ type: CKA.EXTRACTABLE, value: true }]);
      mustHave(session, masterKey, CKA.EXTRACTABLE, true);
    }),
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
      for (const one of lax.filter(({ what }) => what === asExtractable)) unwrap(one);
    }),
  ];
  // Told, because it may be a token object that stays.
  if (session.tainted)
    attacks.push({ name: 'make a key that cannot be destroyed', refused: false, answer: 'possible' });
  return attacks;
}

/** What would open a key that is in the token already; PKCS#11 lets neither be changed in this direction. */
const opening = [
  { what: 'extractable', type: CKA.EXTRACTABLE, value: true },
  { what: 'not sensitive', type: CKA.SENSITIVE, value: false },
] as const;

/** Said by an attack that the token answered CKR_OK to, and that had no effect. */
class WithoutEffect extends Error {}

function tried(name: string, attack: () => unknown, mustWork: () => unknown): Attack {
  try {
    attack();
    return { name, refused: false, answer: 'possible' };
  } catch (error) {
    if (error instanceof WithoutEffect) return { name, refused: true, answer: error.message };
    if (!isRefusal(error)) throw error;
    mustWork();
    return { name, refused: true, answer: error.ckr.name };
  }
}

/** Vendors refuse with codes of their own, which count as the device's; a worn-out session or a full token refuses nothing. */
function isRefusal(error: unknown): error is Pkcs11Fault {
  if (!(error instanceof Pkcs11Fault) || error.ckr.gone === true) return false;
  return error.ckr.class === 'request' || error.ckr.class === 'device';
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
