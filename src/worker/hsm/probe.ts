import { randomBytes } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import { type Capability, type Curve, capability, curves } from '../../shared/keys.ts';
import type { WrapAlgorithm, WrapMethod } from '../../shared/wrap-algorithms.ts';
import { flag, valueIsRefused } from './attributes.ts';
import { CKA, CKF } from './constants.ts';
import { curveFacts } from './curve.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';
import { mustBeChecked, mustHold, proveCanaries, proveFurtherKeys, proveKeys } from './identity.ts';
import type { KeyProof } from './jobs.ts';
import type { Session } from './session.ts';
import { signVerified } from './sign-verified.ts';
import type { Token } from './token.ts';
import type { StartUpBlob, Workbench } from './workbench.ts';
import { wrapCandidates } from './wrap.ts';

/**
 * What a slot proves before it takes work: what its token can do (advertised mechanism lists lie), and that it holds the
 * key store's master key (labels lie too).
 */

export interface ProbedCurve {
  readonly curve: Curve;
  readonly wrapAlgorithm: WrapAlgorithm;
  readonly wrapMechanism: number;
  /** Whether the token lists everything that the round trip uses, the wrap mechanism for wrapping. */
  readonly advertised: boolean;
  readonly works: boolean;
  /** Why not, in one line. */
  readonly failure?: string;
}

export interface Proof {
  readonly probeTable: readonly ProbedCurve[];
  readonly capabilities: readonly Capability[];
  readonly startUpBlob: StartUpBlob;
  /** Of every key of the ring: the current ones are proven, or this is thrown. */
  readonly keys: readonly KeyProof[];
  /** Of the current master key; undefined where this token cannot make one. */
  readonly fingerprint: Fingerprint | undefined;
}

/**
 * @throws MASTER_KEY_OTHER when keys of the ceremony do not open or do not sign for their pinned public keys though the
 * token can do their curve; TOKEN_NOT_CHECKED; HSM_DEVICE_FAULT when it can do none.
 */
export function proveSlot(bench: Workbench): Proof {
  const { session, ceremony } = bench;
  proveKeys(session, ceremony, bench.token.info.serial);
  const all = methodsOf(bench).map((method) => tryMethod(session, bench.token, method));
  // The first in the configured order that can do all that any can: a later one is no better.
  const most = Math.max(...all.map((tried) => tried.filter(({ blob }) => blob !== undefined).length));
  const tried = all.find((one) => one.filter(({ blob }) => blob !== undefined).length === most) ?? [];
  const mechanism = tried[0]?.row.wrapMechanism ?? session.wrapMethod.mechanism;
  session.useMechanism(mechanism);
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

  const proven = proveCanaries(session, ceremony, working);
  mustHold(ceremony, 'attestation key', () => bench.attest(randomBytes(32)));
  if (bench.purpose === 'signing') mustBeChecked(bench.token, ceremony);

  const [startUpBlob] = tried.flatMap(({ row, blob }) =>
    blob !== undefined && proven.includes(row.curve) ? [{ curve: row.curve, ...blob, wrapMechanism: mechanism }] : [],
  );
  if (startUpBlob === undefined) throw new CodedError('HSM_DEVICE_FAULT', 'no start-up blob could be made');
  return {
    probeTable: all.flat().map(({ row }) => row),
    capabilities: proven.flatMap((curve) => [capability('GenerateKey', curve), capability('Sign', curve)]),
    startUpBlob,
    keys: proveFurtherKeys(bench.held, bench.ring, working, bench.purpose, bench.token.info.serial),
    fingerprint: fingerprintOf(session),
  };
}

/** For a slot at work whose device is suspect: a fresh key goes all the way, and a canary still opens. */
export function proveAtWork(bench: Workbench, { curve }: StartUpBlob): void {
  const { session, ceremony } = bench;
  roundTrip(session, curve);
  bench.proveHealthy();
  proveCanaries(session, ceremony, [curve]);
}

/**
 * The numbers to try for the algorithm that the ceremony pinned: those of the slot’s configuration, else the one that the
 * ceremony proved on this token.
 * @throws CONFIG_INVALID when the slot’s configuration leaves the algorithm out.
 */
function methodsOf({ slot, ceremony, session }: Workbench): readonly WrapMethod[] {
  const { wrapAlgorithm } = ceremony.masterKey;
  if (slot.wrap === undefined) return [session.wrapMethod];
  const methods = wrapCandidates(slot.wrap).filter(({ algorithm }) => algorithm === wrapAlgorithm);
  if (methods.length > 0) return methods;
  throw new CodedError(
    'CONFIG_INVALID',
    `slot ${slot.name}: wrap leaves out ${wrapAlgorithm}, which the ceremony pinned for ${ceremony.masterKey.id}`,
  );
}

/** Which curves a token can do under one wrap method, and why not the others. Leaves the session at this mechanism. */
export function probeCurves(session: Session, token: Token): readonly ProbedCurve[] {
  return tryMethod(session, token, session.wrapMethod).map(({ row }) => row);
}

/** What was proven with the key of the probe: it opened again and signed. */
interface Tried {
  readonly row: ProbedCurve;
  readonly blob?: { readonly publicKey: string; readonly blob: Buffer };
}

function tryMethod(session: Session, { slot }: Token, method: WrapMethod): Tried[] {
  const { cryptoki } = session;
  session.useMechanism(method.mechanism);
  const listed = cryptoki.mechanisms(slot);
  // Listed for encryption alone is not advertised: SoftHSM's AES-GCM.
  const both = CKF.WRAP | CKF.UNWRAP;
  const wraps = listed.includes(method.mechanism) && (cryptoki.mechanismFlags(slot, method.mechanism) & both) === both;
  return curves.map((curve) => {
    const { generate, sign } = curveFacts[curve];
    return tryCurve(session, curve, method, wraps && listed.includes(generate) && listed.includes(sign));
  });
}

function tryCurve(session: Session, curve: Curve, { algorithm, mechanism }: WrapMethod, advertised: boolean): Tried {
  const row = { curve, wrapAlgorithm: algorithm, wrapMechanism: mechanism, advertised };
  try {
    return { row: { ...row, works: true }, blob: roundTrip(session, curve) };
  } catch (error) {
    // Whether it is the curve or the device shows in the others.
    const claim = advertised ? 'advertised but refused' : 'not advertised';
    return { row: { ...row, works: false, failure: `${curve}: ${(error as Error).message} (${claim})` } };
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
