import type { Curve } from '../../shared/keys.ts';
import { CKA, CKO } from './constants.ts';
import { curveFacts } from './curve.ts';
import type { Attribute, Template } from './module.ts';

/**
 * The templates of wallet keys. Every attribute that matters is stated: tokens differ in their defaults, and a default is
 * what an attacker with the PIN would count on.
 */

const attribute = (type: number, value: Attribute['value']): Attribute => ({ type, value });

/**
 * What the master key's CKA_UNWRAP_TEMPLATE demands of whatever it unwraps; the unwrap call must state each of these, a
 * missing one is CKR_TEMPLATE_INCONSISTENT. All values are CK_ULONG or CK_BBOOL.
 */
export const demandedOfUnwrapped: readonly { readonly type: number; readonly value: number | boolean }[] = [
  { type: CKA.CLASS, value: CKO.PRIVATE_KEY },
  { type: CKA.TOKEN, value: false },
  { type: CKA.PRIVATE, value: true },
  { type: CKA.SENSITIVE, value: true },
  { type: CKA.SIGN, value: true },
  { type: CKA.EXTRACTABLE, value: false },
  { type: CKA.DERIVE, value: false },
];

/** For C_UnwrapKey of a wallet key. */
export function unwrapTemplate(curve: Curve): Template {
  return unwrapTemplates[curve];
}

const unwrapTemplates: Readonly<Record<Curve, Template>> = {
  secp256k1: unwrapTemplateOf('secp256k1'),
  'P-256': unwrapTemplateOf('P-256'),
  ed25519: unwrapTemplateOf('ed25519'),
};

function unwrapTemplateOf(curve: Curve): Template {
  return [...demandedOfUnwrapped, attribute(CKA.KEY_TYPE, curveFacts[curve].keyType)];
}

/** What the old master key unwraps on a rotation slot is extractable, for the new one to wrap it; never readable. */
export const demandedForRotation: typeof demandedOfUnwrapped = demandedOfUnwrapped.map((one) =>
  one.type === CKA.EXTRACTABLE ? { ...one, value: true } : one,
);

/** For C_UnwrapKey of a wallet key by the rotation object of a master key. */
export function rotationTemplate(curve: Curve): Template {
  return [...demandedForRotation, attribute(CKA.KEY_TYPE, curveFacts[curve].keyType)];
}

/**
 * For C_GenerateKeyPair of a wallet key: session objects. The private key is extractable so that C_WrapKey takes it; the
 * caller destroys it right after, whatever happened.
 * @param parameters CKA_EC_PARAMS, in a form that the token takes.
 */
export function generateTemplates(
  curve: Curve,
  parameters: Buffer = curveFacts[curve].parameters,
): { readonly publicKey: Template; readonly privateKey: Template } {
  const { keyType } = curveFacts[curve];
  return {
    publicKey: [
      attribute(CKA.CLASS, CKO.PUBLIC_KEY),
      attribute(CKA.KEY_TYPE, keyType),
      attribute(CKA.TOKEN, false),
      attribute(CKA.PRIVATE, false),
      attribute(CKA.VERIFY, true),
      attribute(CKA.EC_PARAMS, parameters),
    ],
    privateKey: [
      attribute(CKA.CLASS, CKO.PRIVATE_KEY),
      attribute(CKA.KEY_TYPE, keyType),
      attribute(CKA.TOKEN, false),
      attribute(CKA.PRIVATE, true),
      attribute(CKA.SENSITIVE, true),
      attribute(CKA.EXTRACTABLE, true),
      attribute(CKA.SIGN, true),
      attribute(CKA.DERIVE, false),
    ],
  };
}

/** Whatever carries a label, of whatever class. */
export function labelSearch(label: string): Template {
  return [attribute(CKA.LABEL, label)];
}

/** Finds one of the key store's two secret keys. */
export function secretKeySearch(label: string, ckaId: string): Template {
  return [
    attribute(CKA.CLASS, CKO.SECRET_KEY),
    attribute(CKA.TOKEN, true),
    attribute(CKA.LABEL, label),
    attribute(CKA.ID, Buffer.from(ckaId, 'hex')),
  ];
}
