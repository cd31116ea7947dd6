import { CodedError } from '../../shared/errors.ts';
import { flag, valueIsRefused } from './attributes.ts';
import { CKA } from './constants.ts';
import type { Handle } from './module.ts';
import type { Session } from './session.ts';

/**
 * What a key store's two keys must show on their token. The ceremony sets it (delivery/templates.ts); a token may have
 * ignored what it was told, and keys that a vendor's tools made were told something else.
 */

export type KeyAttributes = readonly (readonly [name: string, type: number, wanted: boolean])[];

/** Each of these stops an attack that was run (a PIN holder sets CKA_DECRYPT and reads every blob), or a use without a login. */
export const masterKeyAttributes: KeyAttributes = [
  ['CKA_PRIVATE', CKA.PRIVATE, true],
  ['CKA_SENSITIVE', CKA.SENSITIVE, true],
  ['CKA_EXTRACTABLE', CKA.EXTRACTABLE, false],
  ['CKA_WRAP', CKA.WRAP, true],
  ['CKA_UNWRAP', CKA.UNWRAP, true],
  ['CKA_ENCRYPT', CKA.ENCRYPT, false],
  ['CKA_DECRYPT', CKA.DECRYPT, false],
  ['CKA_SIGN', CKA.SIGN, false],
  ['CKA_VERIFY', CKA.VERIFY, false],
  ['CKA_DERIVE', CKA.DERIVE, false],
  ['CKA_MODIFIABLE', CKA.MODIFIABLE, false],
];

export const rotationKeyAttributes: KeyAttributes = masterKeyAttributes.map(
  ([name, type, wanted]) => [name, type, type === CKA.WRAP ? false : wanted] as const,
);

/**
 * Whoever has this key, or the use of it without a login (CKA_PRIVATE false), can tag rows that every HSM believes. That it
 * signs is proven by its id, which is its HMAC; that it may verify harms nobody.
 */
const integrityKeyAttributes: KeyAttributes = [
  ['CKA_PRIVATE', CKA.PRIVATE, true],
  ['CKA_SENSITIVE', CKA.SENSITIVE, true],
  ['CKA_EXTRACTABLE', CKA.EXTRACTABLE, false],
  ['CKA_WRAP', CKA.WRAP, false],
  ['CKA_UNWRAP', CKA.UNWRAP, false],
  ['CKA_ENCRYPT', CKA.ENCRYPT, false],
  ['CKA_DECRYPT', CKA.DECRYPT, false],
  ['CKA_DERIVE', CKA.DERIVE, false],
  ['CKA_MODIFIABLE', CKA.MODIFIABLE, false],
];

/** Attributes (CKA_…) of a stored key that are not as the ceremony makes them. */
export interface KeyFlaws {
  /** No token may work with such a key. */
  readonly unfit: readonly string[];
  /** It works, and protects less. */
  readonly tierB: readonly string[];
}

/**
 * @param purpose the backup token's copies are extractable: from them further tokens are filled.
 * @throws RangeError when the token gives out the value of a key that it says to keep.
 */
export function flawsOfKeys(
  session: Session,
  purpose: 'signing' | 'backup',
): { readonly masterKey: KeyFlaws; readonly integrityKey: KeyFlaws } {
  const flaws = (key: Handle, attributes: KeyAttributes): KeyFlaws => {
    const wrong = wrongAttributes(session, key, attributes);
    const tierB = wrong.filter((name) => name === 'CKA_MODIFIABLE');
    const excused = purpose === 'backup' ? [...tierB, 'CKA_EXTRACTABLE'] : tierB;
    return { unfit: wrong.filter((name) => !excused.includes(name)), tierB };
  };
  const masterKey = flaws(session.masterKey, masterKeyAttributes);
  const integrityKey = flaws(session.integrityKey, integrityKeyAttributes);
  // Of a key that is not to keep it, the attributes above tell already.
  if (integrityKey.unfit.length === 0)
    valueIsRefused(session.cryptoki, session.handle, session.integrityKey, 'the integrity key');
  return { masterKey, integrityKey };
}

/**
 * @param id of the master key that the object should be.
 * @param notTaken what a token of tier B may lack.
 * @throws MASTER_KEY_OTHER; RangeError when the token gives out the key's value.
 */
export function checkMasterKeyAttributes(
  session: Session,
  id: string,
  attributes: KeyAttributes,
  notTaken: readonly string[] = [],
): void {
  mustBeAsMade(session, session.masterKey, id, attributes, notTaken);
  valueIsRefused(session.cryptoki, session.handle, session.masterKey, 'the master key');
}

/** The same for the integrity key. */
export function checkIntegrityKeyAttributes(session: Session, id: string, notTaken: readonly string[] = []): void {
  mustBeAsMade(session, session.integrityKey, id, integrityKeyAttributes, notTaken);
  valueIsRefused(session.cryptoki, session.handle, session.integrityKey, 'the integrity key');
}

function mustBeAsMade(
  session: Session,
  key: Handle,
  id: string,
  attributes: KeyAttributes,
  notTaken: readonly string[],
): void {
  const wrong = wrongAttributes(session, key, attributes).filter((name) => !notTaken.includes(name));
  if (wrong.length === 0) return;
  const values = attributes.filter(([name]) => wrong.includes(name)).map(([name, , wanted]) => `${name} is ${!wanted}`);
  throw new CodedError(
    'MASTER_KEY_OTHER',
    `the object that should be ${id} is not as the ceremony made it: ${values.join(', ')}`,
  );
}

/** Names of those that the token shows otherwise; one that it does not know is not wrong. */
function wrongAttributes({ cryptoki, handle }: Session, key: Handle, attributes: KeyAttributes): readonly string[] {
  return attributes.filter(([, type, wanted]) => flag(cryptoki, handle, key, type) === !wanted).map(([name]) => name);
}
