import { randomBytes } from 'node:crypto';
import type { CeremonyFile } from '../../shared/ceremony-file.ts';
import { CodedError } from '../../shared/errors.ts';
import { integrityKeysOf, type KeyRing, masterKeysOf } from '../../shared/key-ring.ts';
import type { Curve } from '../../shared/keys.ts';
import { valueIsRefused } from './attributes.ts';
import { publicKeyHex } from './encoding.ts';
import { codedError, mayBlameBlob } from './failure.ts';
import { Pkcs11Fault } from './fault.ts';
import type { HeldKeys, SlotPurpose } from './held-keys.ts';
import { integrityKeyId, integrityKeyText } from './integrity-key-id.ts';
import type { KeyProof } from './jobs.ts';
import {
  checkIntegrityKeyAttributes,
  checkMasterKeyAttributes,
  masterKeyAttributes,
  rotationKeyAttributes,
} from './key-attributes.ts';
import type { Session } from './session.ts';
import { signVerified } from './sign-verified.ts';
import { rotationTemplate } from './templates.ts';
import type { Token } from './token.ts';
import { unwrapKey } from './wrap.ts';

/** Whether a token holds the key store's keys: labels lie, so what the keys do is what counts. */

/**
 * @param serial of the token: one that the ceremony took as tier B may lack what it did not take then.
 * @throws MASTER_KEY_OTHER when one of the key store's two keys is not as the ceremony made it.
 */
export function proveKeys(session: Session, ceremony: CeremonyFile, serial: string): void {
  checkMasterKeyAttributes(session, ceremony.masterKey.id, masterKeyAttributes, notTakenBy(serial, ceremony));
  checkIntegrityKey(session, ceremony, serial);
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

/** Opens the first canary of a master key, and signs. @throws Pkcs11Fault, SIGNATURE_INVALID */
export function openCanary(session: Session, { canaries: [first] }: CeremonyFile): void {
  if (first === undefined) return; // the schema has one at least
  const { curve, publicKey, blob } = first;
  session.withUnwrapped(curve, Buffer.from(blob, 'base64'), (key) =>
    signVerified(session, curve, key, publicKey, randomBytes(32)),
  );
}

/**
 * What a slot can say of each key of the ring, the current ones first. That a further key is missing or another than its
 * file says keeps the slot from its rows, not from work.
 * @param working the curves that the token can do.
 * @param purpose on a rotation slot the further master keys are objects of another kind.
 * @param serial of the token.
 * @throws what is the device's fault; never about which keys it holds.
 */
export function proveFurtherKeys(
  held: HeldKeys,
  ring: KeyRing,
  working: readonly Curve[],
  purpose: SlotPurpose,
  serial: string,
): readonly KeyProof[] {
  const masterKeys = masterKeysOf(ring).map((file) =>
    proof(purpose === 'signing' || file === ring.current ? 'master' : 'rotation', file.masterKey.id, () => {
      if (file === ring.current) return;
      const session = heldOrThrow(held, held.masterKeys, file.masterKey.id);
      if (purpose === 'rotation') return proveRotationKey(session, file, working);
      checkMasterKeyAttributes(session, file.masterKey.id, masterKeyAttributes);
      proveCanaries(session, file, working);
      mustHold(file, 'attestation key', () => openAttestationKey(session, file));
    }),
  );
  const integrityKeys = integrityKeysOf(ring).map((file) =>
    proof('integrity', file.integrityKey.id, () => {
      if (file === ring.current) return;
      checkIntegrityKey(heldOrThrow(held, held.integrityKeys, file.integrityKey.id), file, serial);
    }),
  );
  return [...masterKeys, ...integrityKeys];
}

/** It opens the canaries as keys that may be wrapped, and does nothing else. */
function proveRotationKey(session: Session, file: CeremonyFile, working: readonly Curve[]): void {
  checkMasterKeyAttributes(session, file.masterKey.id, rotationKeyAttributes);
  const { cryptoki, handle, masterKey, wrapMethod } = session;
  for (const { curve, publicKey, blob } of file.canaries.filter((one) => working.includes(one.curve))) {
    mustHold(file, `canary for ${curve}`, () => {
      const wrapped = Buffer.from(blob, 'base64');
      const key = unwrapKey(cryptoki, handle, wrapMethod, masterKey, wrapped, rotationTemplate(curve));
      try {
        valueIsRefused(cryptoki, handle, key, 'a key opened for rotation');
        signVerified(session, curve, key, publicKey, randomBytes(32));
      } finally {
        session.destroy(key);
      }
    });
  }
}

function proof(kind: KeyProof['kind'], id: string, prove: () => void): KeyProof {
  try {
    prove();
    return { kind, id, proven: true };
  } catch (error) {
    if (error instanceof CodedError && (error.code === 'MASTER_KEY_OTHER' || error.code === 'MASTER_KEY_MISSING'))
      return { kind, id, proven: false, why: error.detail };
    throw error;
  }
}

function heldOrThrow({ lacking }: HeldKeys, views: ReadonlyMap<string, Session>, id: string): Session {
  const view = views.get(id);
  if (view !== undefined) return view;
  throw lacking.get(id) ?? new CodedError('MASTER_KEY_MISSING', id);
}

function openAttestationKey(session: Session, { attestationKey: { publicKey, blob } }: CeremonyFile): void {
  session.withUnwrapped('P-256', Buffer.from(blob, 'base64'), (key) =>
    signVerified(session, 'P-256', key, publicKeyHex('P-256', Buffer.from(publicKey, 'hex')), randomBytes(32)),
  );
}

/**
 * The token went through the ceremony, and what it enforces was looked at. Only after its keys were proven: a token of
 * another key store has a graver fault.
 * @throws TOKEN_NOT_CHECKED
 */
export function mustBeChecked({ info: { label, serial } }: Token, { masterKey, tokens }: CeremonyFile): void {
  const entry = tokens.find((one) => one.serial === serial);
  if (entry?.checkedAt !== undefined) return;
  const why = entry === undefined ? 'is not in the protocol' : 'was added to the protocol, and not checked yet';
  throw new CodedError('TOKEN_NOT_CHECKED', `token “${label}” (${serial}) holds ${masterKey.id}, but ${why}`);
}

/** With another integrity key every row would look tampered with. */
function checkIntegrityKey(session: Session, ceremony: CeremonyFile, serial: string): void {
  const { id } = ceremony.integrityKey;
  const made = integrityKeyId(session.hmac(integrityKeyText));
  if (made !== id)
    throw new CodedError('MASTER_KEY_OTHER', `the integrity key on this token is ${made}, the ceremony’s is ${id}`);
  checkIntegrityKeyAttributes(session, id, notTakenBy(serial, ceremony));
}

/** What the ceremony saw that this token does not take. */
function notTakenBy(serial: string, { tokens }: CeremonyFile): readonly string[] | undefined {
  return tokens.find((one) => one.serial === serial)?.tierB?.notTaken;
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
