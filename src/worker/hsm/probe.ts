import { randomBytes } from 'node:crypto';
import type { CeremonyFile } from '../../shared/ceremony-file.ts';
import { CodedError } from '../../shared/errors.ts';
import { type Capability, type Curve, capability, curves } from '../../shared/keys.ts';
import { CKA } from './constants.ts';
import { codedError, mayBlameBlob } from './failure.ts';
import { Pkcs11Fault } from './fault.ts';
import { integrityKeyId, integrityKeyText } from './integrity-key-id.ts';
import type { Cryptoki, Handle } from './module.ts';
import type { Session } from './session.ts';
import { signVerified } from './sign-verified.ts';
import type { StartUpBlob, Workbench } from './workbench.ts';

/**
 * What a slot proves before it takes work: what its token can do (advertised mechanism lists lie), and that it holds the
 * key store's master key (labels lie too).
 */

export interface ProbedCurve {
  readonly curve: Curve;
  readonly wrapMechanism: number;
  readonly works: boolean;
  /** Why not, in one line. */
  readonly failure?: string;
}

export interface Proof {
  readonly probeTable: readonly ProbedCurve[];
  readonly capabilities: readonly Capability[];
  readonly startUpBlob: StartUpBlob;
}

/**
 * @throws MASTER_KEY_OTHER when keys of the ceremony do not open or do not sign for their pinned public keys though the
 * token can do their curve; HSM_DEVICE_FAULT when it can do none.
 */
export function proveSlot(bench: Workbench): Proof {
  const { session, ceremony } = bench;
  checkMasterKeyAttributes(session, ceremony);
  checkIntegrityKey(session, ceremony);
  const tried = curves.map((curve) => tryCurve(session, curve, ceremony.masterKey.wrapMechanism));
  const working = tried.filter((one) => one.blob !== undefined).map((one) => one.row.curve);
  const failures = tried.map(({ row }) => row.failure).filter((failure) => failure !== undefined);
  if (working.length === 0)
    throw new CodedError('HSM_DEVICE_FAULT', `no curve passes the probe: ${failures.join('; ')}`);
  if (!working.includes('P-256')) {
    throw new CodedError(
      'HSM_DEVICE_FAULT',
      `the probe of P-256 failed, and attestation needs it: ${failures.join('; ')}`,
    );
  }

  const canaries = ceremony.canaries.filter(({ curve }) => working.includes(curve));
  for (const { curve, publicKey, blob } of canaries) {
    identity(ceremony, `canary for ${curve}`, () =>
      session.withUnwrapped(curve, Buffer.from(blob, 'base64'), (key) =>
        signVerified(session, curve, key, publicKey, randomBytes(32)),
      ),
    );
  }
  if (canaries.length === 0) {
    throw new CodedError(
      'MASTER_KEY_OTHER',
      `no canary of ${ceremony.masterKey.id} is of a curve this token can do (${working.join(', ')})`,
    );
  }
  identity(ceremony, 'attestation key', () => bench.attest(randomBytes(32)));

  const proven = canaries.map(({ curve }) => curve);
  const [startUpBlob] = tried.flatMap(({ row, blob }) =>
    blob !== undefined && proven.includes(row.curve) ? [{ curve: row.curve, ...blob }] : [],
  );
  if (startUpBlob === undefined) throw new CodedError('HSM_DEVICE_FAULT', 'no start-up blob could be made');
  return {
    probeTable: tried.map(({ row }) => row),
    capabilities: proven.flatMap((curve) => [capability('GenerateKey', curve), capability('Sign', curve)]),
    startUpBlob,
  };
}

/** For a slot at work whose device is suspect: a fresh key goes all the way, and a canary still opens. */
export function proveAtWork(bench: Workbench, { curve }: StartUpBlob): void {
  const { session, ceremony } = bench;
  roundTrip(session, curve);
  bench.proveHealthy();
  const canary = ceremony.canaries.find((one) => one.curve === curve);
  if (canary === undefined) return;
  identity(ceremony, `canary for ${curve}`, () =>
    session.withUnwrapped(curve, Buffer.from(canary.blob, 'base64'), (key) =>
      signVerified(session, curve, key, canary.publicKey, randomBytes(32)),
    ),
  );
}

/** Which curves a token can do under this master key, and why not the others. */
export function probeCurves(session: Session, wrapMechanism: number): readonly ProbedCurve[] {
  return curves.map((curve) => tryCurve(session, curve, wrapMechanism).row);
}

/** What was proven with the key of the probe: it opened again and signed. */
interface Tried {
  readonly row: ProbedCurve;
  readonly blob?: { readonly publicKey: string; readonly blob: Buffer };
}

function tryCurve(session: Session, curve: Curve, wrapMechanism: number): Tried {
  try {
    return { row: { curve, wrapMechanism, works: true }, blob: roundTrip(session, curve) };
  } catch (error) {
    // Whether it is the curve or the device shows in the others.
    return { row: { curve, wrapMechanism, works: false, failure: `${curve}: ${(error as Error).message}` } };
  }
}

/** Generate, wrap, destroy, unwrap, sign, verify, destroy; and the private key's value is refused at each step. */
function roundTrip(session: Session, curve: Curve): { publicKey: string; blob: Buffer } {
  const { cryptoki, handle } = session;
  const made = session.withNewKey(curve, (privateKey, publicKey) => {
    valueIsRefused(cryptoki, handle, privateKey, 'a fresh private key');
    const blob = session.wrap(privateKey);
    valueIsRefused(cryptoki, handle, privateKey, 'a wrapped private key');
    return { publicKey, blob };
  });
  session.withUnwrapped(curve, made.blob, (key) => {
    valueIsRefused(cryptoki, handle, key, 'an unwrapped private key');
    for (const [name, type, wanted] of unwrappedAttributes) {
      if (flag(cryptoki, handle, key, type) === !wanted) {
        throw new RangeError(
          `the token made an unwrapped key with ${name} ${wanted ? 'false' : 'true'} though told otherwise`,
        );
      }
    }
    signVerified(session, curve, key, made.publicKey, randomBytes(32));
  });
  return made;
}

const unwrappedAttributes = [
  ['CKA_SENSITIVE', CKA.SENSITIVE, true],
  ['CKA_EXTRACTABLE', CKA.EXTRACTABLE, false],
  ['CKA_TOKEN', CKA.TOKEN, false],
] as const;

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

/** A CK_BBOOL; undefined where the token does not know the attribute. */
function flag(cryptoki: Cryptoki, session: Handle, object: Handle, type: number): boolean | undefined {
  try {
    const [value] = cryptoki.attribute(session, object, type);
    return value === undefined ? undefined : value !== 0;
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return undefined;
    throw error;
  }
}

/** @throws RangeError when the token hands out a key's value (and clears it). */
export function valueIsRefused(cryptoki: Cryptoki, session: Handle, key: Handle, what: string): void {
  let value: Buffer;
  try {
    value = cryptoki.attribute(session, key, CKA.VALUE);
  } catch (error) {
    if (error instanceof Pkcs11Fault && error.ckr.class === 'request') return;
    throw error;
  }
  if (value.length === 0) return;
  value.fill(0);
  throw new RangeError(`the token gives out the value of ${what} (CKA_VALUE)`);
}

/** The token has just proven that it can do this with keys of its own: failing here is about which master key it holds. */
function identity(ceremony: CeremonyFile, what: string, prove: () => unknown): void {
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
