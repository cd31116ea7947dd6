import { ulong } from '../attributes.ts';
import { CKA, CKK, CKM, CKO } from '../constants.ts';
import type { Attribute, Template } from '../module.ts';
import { demandedForRotation, demandedOfUnwrapped } from '../templates.ts';
import type { KeyName, KeyPurpose } from './keys.ts';
import type { NestedAttribute } from './nested-template.ts';

/** The templates of the ceremony's own keys (design 6; the attacks that each line stops were run). */

const attribute = (type: number, value: Attribute['value']): Attribute => ({ type, value });
const all = (value: boolean, ...types: readonly number[]): Attribute[] => types.map((type) => attribute(type, value));

/** RSA-4096 session key pair under which a token receives the keys. */
export const transportKeyPair: { readonly publicKey: Template; readonly privateKey: Template } = {
  publicKey: [
    attribute(CKA.CLASS, CKO.PUBLIC_KEY),
    attribute(CKA.KEY_TYPE, CKK.RSA),
    ...all(false, CKA.TOKEN, CKA.PRIVATE),
    ...all(true, CKA.WRAP),
    attribute(CKA.MODULUS_BITS, 4096),
    attribute(CKA.PUBLIC_EXPONENT, Buffer.from('010001', 'hex')),
  ],
  privateKey: [
    attribute(CKA.CLASS, CKO.PRIVATE_KEY),
    attribute(CKA.KEY_TYPE, CKK.RSA),
    ...all(false, CKA.TOKEN, CKA.EXTRACTABLE, CKA.DECRYPT, CKA.SIGN),
    ...all(true, CKA.PRIVATE, CKA.SENSITIVE, CKA.UNWRAP),
  ],
};

/** A target's transport key, on the origin. */
export function importedTransportKey(modulus: Buffer, publicExponent: Buffer): Template {
  return [
    attribute(CKA.CLASS, CKO.PUBLIC_KEY),
    attribute(CKA.KEY_TYPE, CKK.RSA),
    ...all(false, CKA.TOKEN, CKA.PRIVATE),
    ...all(true, CKA.WRAP),
    attribute(CKA.MODULUS, modulus),
    attribute(CKA.PUBLIC_EXPONENT, publicExponent),
  ];
}

/** The new master key on the backup token until it is distributed: a session object, extractable, never in the clear. */
export const newMasterKey: Template = [
  attribute(CKA.CLASS, CKO.SECRET_KEY),
  attribute(CKA.KEY_TYPE, CKK.AES),
  attribute(CKA.VALUE_LEN, 32),
  ...all(false, CKA.TOKEN, CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.DERIVE),
  ...all(true, CKA.PRIVATE, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.WRAP, CKA.UNWRAP),
];

export const newIntegrityKey: Template = [
  attribute(CKA.CLASS, CKO.SECRET_KEY),
  attribute(CKA.KEY_TYPE, CKK.GENERIC_SECRET),
  attribute(CKA.VALUE_LEN, 32),
  ...all(false, CKA.TOKEN, CKA.ENCRYPT, CKA.DECRYPT, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE),
  ...all(true, CKA.PRIVATE, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.SIGN, CKA.VERIFY),
];

/** The master key as it stays on a token. CKA_MODIFIABLE comes last: SoftHSM 2.6.1 refuses whatever follows it. */
export function storedMasterKey(
  name: KeyName,
  wrapMechanism: number,
  purpose: KeyPurpose = 'signing',
): readonly NestedAttribute[] {
  const rotates = purpose === 'rotation';
  return [
    ...storedSecret(CKK.AES, name, purpose),
    attribute(CKA.WRAP, !rotates),
    ...all(true, CKA.UNWRAP),
    ...all(false, CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.DERIVE),
    attribute(CKA.ALLOWED_MECHANISMS, ulong(wrapMechanism)),
    { type: CKA.UNWRAP_TEMPLATE, value: rotates ? demandedForRotation : demandedOfUnwrapped },
    ...all(false, CKA.COPYABLE, CKA.MODIFIABLE),
  ];
}

export function storedIntegrityKey(name: KeyName, purpose: KeyPurpose = 'signing'): Template {
  return [
    ...storedSecret(CKK.GENERIC_SECRET, name, purpose),
    ...all(true, CKA.SIGN, CKA.VERIFY),
    ...all(false, CKA.WRAP, CKA.UNWRAP, CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE),
    attribute(CKA.ALLOWED_MECHANISMS, ulong(CKM.SHA256_HMAC)),
    ...all(false, CKA.COPYABLE, CKA.MODIFIABLE),
  ];
}

function storedSecret(keyType: number, { label, ckaId }: KeyName, purpose: KeyPurpose): Attribute[] {
  return [
    attribute(CKA.CLASS, CKO.SECRET_KEY),
    attribute(CKA.KEY_TYPE, keyType),
    ...all(true, CKA.TOKEN, CKA.PRIVATE),
    attribute(CKA.LABEL, label),
    attribute(CKA.ID, Buffer.from(ckaId, 'hex')),
    ...all(true, CKA.SENSITIVE),
    attribute(CKA.EXTRACTABLE, purpose === 'backup'),
  ];
}

/** Throw-away secrets whose value this process knows, to find out what a mechanism does. */
export function knownSecret(keyType: number, extractable: boolean): Template {
  return [
    attribute(CKA.CLASS, CKO.SECRET_KEY),
    attribute(CKA.KEY_TYPE, keyType),
    ...all(false, CKA.TOKEN, CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE),
    ...all(true, CKA.PRIVATE, CKA.SENSITIVE, CKA.WRAP),
    attribute(CKA.EXTRACTABLE, extractable),
  ];
}
