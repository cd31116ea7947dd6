import { randomBytes } from 'node:crypto';
import { serveParent } from '../ceremony/child.ts';
import { logInOnce, type Opened } from '../ceremony/log-in-once.ts';
import { methodText } from '../ceremony/wrap-choice.ts';
import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import { CodedError } from '../shared/errors.ts';
import { wrapMechanismOn } from '../shared/key-ring.ts';
import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import { tryAttacks } from '../worker/hsm/attacks/attacks.ts';
import { hmacWorks, plainWrappingKey, throwAwayMasterKey } from '../worker/hsm/attacks/throw-away.ts';
import { openEntrance } from '../worker/hsm/delivery/entrance.ts';
import { type Entrance, provenWrapMethods } from '../worker/hsm/delivery/transport.ts';
import { codedError } from '../worker/hsm/failure.ts';
import { proveCanaries, proveKeys } from '../worker/hsm/identity.ts';
import type { Handle } from '../worker/hsm/module.ts';
import { tryP384 } from '../worker/hsm/p384.ts';
import { probeCurves } from '../worker/hsm/probe.ts';
import { createSession, type Session, sessionWith } from '../worker/hsm/session.ts';
import { signVerified } from '../worker/hsm/sign-verified.ts';
import { everyWrapMethod } from '../worker/hsm/wrap.ts';
import type { AttackFacts, QualifyCalls, WrapFacts } from './calls.ts';
import { measureRates } from './rates.ts';
import { findSessionLimit } from './session-limit.ts';
import { worstOf } from './worst-of.ts';

/**
 * Entry of the process that owns one slot during a qualification: a vendor's library may crash or hang, and never in the
 * process that coordinates. It logs in once and makes session objects only.
 */
let opened: (Opened & { readonly slot: TokenConfiguration }) | undefined;
let entrance: Entrance | undefined;
let throwAway: Handle | undefined;
/** On the key store's own master key, once its identity is proven. */
let identified: Session | undefined;

serveParent<QualifyCalls>({
  open: ({ slot, record }) =>
    coded(async () => {
      opened = { slot, ...(await logInOnce(slot, record)) };
      const { cryptoki, token } = opened;
      const { flags: _, ...info } = token.info;
      return { library: cryptoki.info(), token: info, mechanisms: cryptoki.mechanisms(token.slot) };
    }),

  'first-signature': () =>
    coded(() => {
      const { cryptoki, handle } = present(opened);
      // Nothing is wrapped here: the places of the keys and of the mechanism are not used.
      const wrapMethod: WrapMethod = { algorithm: 'RFC5649', mechanism: 0 };
      const session = sessionWith(cryptoki, handle, { masterKey: handle, integrityKey: handle, wrapMethod });
      session.withNewKey('P-256', (key, publicKey) => signVerified(session, 'P-256', key, publicKey, randomBytes(32)));
      return undefined;
    }),

  wraps: () => coded(wraps),
  attacks: ({ method, curves }) => coded(() => attacks(method, curves)),

  sessions: () =>
    coded(() => {
      const { cryptoki, token } = present(opened);
      return findSessionLimit(cryptoki, token.slot);
    }),

  rates: ({ method, curves, threadCounts }) =>
    coded(() => {
      const { slot, token } = present(opened);
      const masterKey = present(throwAway);
      return measureRates({ module: slot.module, slot: token.slot, masterKey, method }, curves, threadCounts);
    }),

  identity: (ceremony) =>
    coded(() => {
      const session = sessionOfStore(ceremony);
      proveKeys(session, ceremony, present(opened).token.info.serial);
      const proven = proveCanaries(session, ceremony, curvesUnder(session.wrapMethod));
      identified = session;
      return proven;
    }),

  make: (curve) =>
    coded(() => {
      const session = present(identified);
      return session.withNewKey(curve, (privateKey, publicKey) => ({
        curve,
        publicKey,
        blob: session.wrap(privateKey),
      }));
    }),

  prove: ({ curve, publicKey, blob }) =>
    coded(() => {
      const session = present(identified);
      session.withUnwrapped(curve, Buffer.from(blob), (key) =>
        signVerified(session, curve, key, publicKey, randomBytes(32)),
      );
      return undefined;
    }),
});

function wraps(): WrapFacts {
  const { cryptoki, handle, token, slot } = present(opened);
  const methods = everyWrapMethod(slot.wrap);
  const wrappingKey = plainWrappingKey(cryptoki, handle);
  const rows = methods.flatMap((wrapMethod) =>
    probeCurves(
      sessionWith(cryptoki, handle, { masterKey: wrappingKey, integrityKey: wrappingKey, wrapMethod }),
      token,
    ),
  );
  const found = openEntrance(cryptoki, handle);
  entrance = 'refusal' in found ? undefined : found;
  const confirmed =
    'refusal' in found
      ? found
      : provenWrapMethods(cryptoki, handle, found.transportKey, found.publicKey, found.hash, methods);
  return { rows, confirmed, hmac: hmacWorks(cryptoki, handle, entrance) };
}

/** Each curve's attacks on a key of its own: an attack that succeeds changes it. */
function attacks(wrapMethod: WrapMethod, curves: readonly Curve[]): AttackFacts {
  const { cryptoki, handle, slot, token } = present(opened);
  const make = () => throwAwayMasterKey(handle, slot.module, entrance, wrapMethod.mechanism);
  const sessionOn = (key: Handle): Session =>
    sessionWith(cryptoki, handle, { masterKey: key, integrityKey: key, wrapMethod });
  const made = make();
  const first = made?.handle ?? plainWrappingKey(cryptoki, handle);
  throwAway = first; // nothing below changes it: the rates are measured on it
  const session = sessionOn(first);
  const underTemplate = probeCurves(session, token).filter(({ curve }) => curves.includes(curve));
  const working = underTemplate.filter(({ works }) => works).map(({ curve }) => curve);
  const tries = working.map((curve) => {
    const key = make()?.handle ?? plainWrappingKey(cryptoki, handle);
    try {
      return { curve, attacks: tryAttacks(sessionOn(key), curve) };
    } finally {
      session.destroy(key);
    }
  });
  return {
    p384: tryP384(session),
    notTaken: made?.notTaken ?? ['the template as a whole'],
    underTemplate,
    attacks: worstOf(tries),
  };
}

/** By keys of its own: which canaries the token could open, if it holds their master key. @throws HSM_UNFIT for none */
function curvesUnder(wrapMethod: WrapMethod): Curve[] {
  const { cryptoki, handle, token } = present(opened);
  const key = plainWrappingKey(cryptoki, handle);
  const session = sessionWith(cryptoki, handle, { masterKey: key, integrityKey: key, wrapMethod });
  const rows = probeCurves(session, token);
  session.destroy(key);
  const working = rows.filter(({ works }) => works).map(({ curve }) => curve);
  if (working.length > 0) return working;
  const failures = rows.flatMap(({ failure }) => failure ?? []).join('; ');
  throw new CodedError(
    'HSM_UNFIT',
    `no curve passes the round trip under ${methodText(wrapMethod)}, which the ceremony pinned (${failures})`,
  );
}

/** On a session of its own, which it closes when the keys are not there. */
function sessionOfStore(ceremony: CeremonyFile): Session {
  const { cryptoki, token } = present(opened);
  const session = createSession(cryptoki, token, cryptoki.openSession(token.slot), ceremony);
  session.useMechanism(wrapMechanismOn(ceremony, token.info.serial));
  return session;
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new CodedError('INTERNAL', 'a step of the qualification was left out');
  return value;
}

async function coded<Value>(step: () => Value | Promise<Value>): Promise<Value> {
  try {
    return await step();
  } catch (error) {
    throw codedError(error);
  }
}
