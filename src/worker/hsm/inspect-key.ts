import { randomBytes } from 'node:crypto';
import type { WrappedKey } from '../wrapped-key.ts';
import { flag, valueIsRefused } from './attributes.ts';
import { CKA } from './constants.ts';
import { signVerified } from './sign-verified.ts';
import type { Workbench } from './workbench.ts';

/** What the unwrap template demands; a token may ignore it. */
const demanded = [
  ['CKA_SENSITIVE', CKA.SENSITIVE, true],
  ['CKA_EXTRACTABLE', CKA.EXTRACTABLE, false],
  ['CKA_TOKEN', CKA.TOKEN, false],
  ['CKA_SIGN', CKA.SIGN, true],
  ['CKA_DERIVE', CKA.DERIVE, false],
] as const;

export interface KeyToInspect {
  readonly row: WrappedKey;
  /** Read the opened key's attributes back too. */
  readonly attributes: boolean;
}

/**
 * Opens a stored key and signs 32 random bytes with it, verified against the row's public key; nobody sees the signature.
 * @returns the attributes that are not as demanded, e.g. `CKA_EXTRACTABLE is true`.
 * @throws KEY_UNUSABLE, SIGNATURE_INVALID, KEY_NOT_ON_SLOT, Pkcs11Fault
 */
export function inspectKey(bench: Workbench, { row, attributes }: KeyToInspect): readonly string[] {
  const { type, keyId, masterKeyId, blob, publicKey } = row;
  const { curve } = type;
  return bench.withUnwrapped({ named: `key ${keyId}`, masterKeyId, curve, blob }, (key) => {
    signVerified(bench.session, curve, key, publicKey, randomBytes(32));
    return attributes ? wrongAttributes(bench, key) : [];
  });
}

function wrongAttributes({ session: { cryptoki, handle } }: Workbench, key: Buffer): string[] {
  const wrong = demanded
    .filter(([, type, wanted]) => flag(cryptoki, handle, key, type) === !wanted)
    .map(([name, , wanted]) => `${name} is ${!wanted}`);
  try {
    valueIsRefused(cryptoki, handle, key, 'an unwrapped private key');
    return wrong;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [...wrong, error.message];
  }
}
