import { randomBytes } from 'node:crypto';
import type { CeremonyFile } from '../../shared/ceremony-file.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Curve } from '../../shared/keys.ts';
import { flag, valueIsRefused } from './attributes.ts';
import { CKA } from './constants.ts';
import { codedError, mayBlameBlob } from './failure.ts';
import { Pkcs11Fault } from './fault.ts';
import { integrityKeyId, integrityKeyText } from './integrity-key-id.ts';
import type { Session } from './session.ts';
import { signVerified } from './sign-verified.ts';

/** Whether a token holds the key store's keys: labels lie, so what the keys do is what counts. */

/** @throws MASTER_KEY_OTHER when one of the key store's two keys is not as the ceremony made it. */
export function proveKeys(session: Session, ceremony: CeremonyFile): void {
  checkMasterKeyAttributes(session, ceremony);
  checkIntegrityKey(session, ceremony);
}

/**
 * Opens the canary of each curve that the token can do, and signs for its pinned public key.
 * @returns the curves that are proven.
 * @throws MASTER_KEY_OTHER
 */
export function proveCanaries(session: Session, ceremony: CeremonyFile, working: readonly Curve[]): readonly Curve[] {
  const canaries = ceremony.canaries.filter(({ curve }) => working.includes(curve));
  for (const { curve, publicKey, blob } of canaries) {
    mustHold(ceremony, `canary for ${curve}`, () =>
      session.withUnwrapped(curve, Buffer.from(blob, 'base64'), (key) =>
        signVerified(session, curve, key, publicKey, randomBytes(32)),
      ),
    );
  }
  if (canaries.length > 0) return canaries.map(({ curve }) => curve);
  const list = working.join(', ');
  throw new CodedError(
    'MASTER_KEY_OTHER',
    `no canary of ${ceremony.masterKey.id} is of a curve this token can do (${list})`,
  );
}

const masterKeyAttributes = [
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
] as const;

/** Each of these stops an attack that was run (a PIN holder sets CKA_DECRYPT and reads every blob). */
function checkMasterKeyAttributes({ cryptoki, handle, masterKey }: Session, { masterKey: { id } }: CeremonyFile): void {
  const wrong = masterKeyAttributes
    .filter(([, type, wanted]) => flag(cryptoki, handle, masterKey, type) === !wanted)
    .map(([name, , wanted]) => `${name} is ${!wanted}`);
  if (wrong.length > 0) {
    throw new CodedError(
      'MASTER_KEY_OTHER',
      `the object that should be ${id} is not as the ceremony made it: ${wrong.join(', ')}`,
    );
  }
  valueIsRefused(cryptoki, handle, masterKey, 'the master key');
}

/** With another integrity key every row would look tampered with. */
function checkIntegrityKey(session: Session, { integrityKey: { id } }: CeremonyFile): void {
  const made = integrityKeyId(session.hmac(integrityKeyText));
  if (made !== id)
    throw new CodedError('MASTER_KEY_OTHER', `the integrity key on this token is ${made}, the ceremony’s is ${id}`);
}

/** The token has just proven that it can do this with keys of its own: failing here is about which master key it holds. */
export function mustHold(ceremony: CeremonyFile, what: string, prove: () => unknown): void {
  try {
    prove();
  } catch (cause) {
    if (cause instanceof Pkcs11Fault && !mayBlameBlob(cause)) throw cause;
    const { message } = codedError(cause);
    throw new CodedError(
      'MASTER_KEY_OTHER',
      `the ${what} of ${ceremony.masterKey.id} does not hold on this token (${message})`,
      { cause },
    );
  }
}
