import { randomBytes } from 'node:crypto';
import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import { CodedError } from '../shared/errors.ts';
import { findLaxness } from '../worker/hsm/attacks/strictness.ts';
import { isDeliverable } from '../worker/hsm/delivery/deliverable.ts';
import { findWrapMethods } from '../worker/hsm/delivery/entrance.ts';
import type { CeremonyKey } from '../worker/hsm/delivery/keys.ts';
import { countLabelled, findStored, objectsOf } from '../worker/hsm/delivery/objects.ts';
import { createOrigin, type Origin } from '../worker/hsm/delivery/origin.ts';
import { storeKeys } from '../worker/hsm/delivery/stored-keys.ts';
import { becomeTarget } from '../worker/hsm/delivery/target.ts';
import type { TransportKey } from '../worker/hsm/delivery/transport.ts';
import { codedError } from '../worker/hsm/failure.ts';
import { flawsOfKeys } from '../worker/hsm/key-attributes.ts';
import { probeCurves } from '../worker/hsm/probe.ts';
import { createSession, type Session } from '../worker/hsm/session.ts';
import { signVerified } from '../worker/hsm/sign-verified.ts';
import { rotationTemplate } from '../worker/hsm/templates.ts';
import { unwrapKey } from '../worker/hsm/wrap.ts';
import { serveParent } from './child.ts';
import { bothKeys, type KeyNames } from './keys.ts';
import { logInOnce, type Opened } from './log-in-once.ts';
import type { TokenCalls } from './token-calls.ts';

/**
 * Entry of the process that owns one token during a ceremony. Its session lives as long as the process: transport keys
 * are session objects.
 */
interface OpenedToken extends Opened {
  readonly module: string;
  readonly wrap: TokenConfiguration['wrap'];
}
let opened: OpenedToken | undefined;
let transportKey: TransportKey | undefined;
let origin: Origin | undefined;
let inUse: { readonly session: Session; readonly names: KeyNames } | undefined;

serveParent<TokenCalls>({
  async open({ token, record }) {
    try {
      opened = { ...(await logInOnce(token, record)), module: token.module, wrap: token.wrap };
      return opened.token.info;
    } catch (error) {
      throw codedError(error);
    }
  },

  'refuse-taken': (keys) =>
    coded(() => {
      refuseTaken(present(opened), keys);
      return undefined;
    }),

  'clean-up': (keys) => coded(() => ({ removed: removeKeys(present(opened), keys) })),

  transport: () =>
    coded(() => {
      const { cryptoki, handle, wrap } = present(opened);
      const made = becomeTarget(cryptoki, handle, wrap);
      transportKey = made.transportKey;
      return made.transport;
    }),

  'import-transports': (transports) =>
    coded(() => {
      const { cryptoki, token, handle } = present(opened);
      origin ??= createOrigin(cryptoki, token, handle);
      return transports.map(origin.takeIn);
    }),
  distribute: ({ keys, source }) => coded(() => present(origin).distribute(keys, source)),

  receive: (receipt) =>
    coded(() => {
      const { module, cryptoki, handle } = present(opened);
      const { publicKey, privateKey } = present(transportKey);
      const received = storeKeys(cryptoki, module, handle, privateKey, receipt);
      cryptoki.destroyObject(handle, privateKey);
      cryptoki.destroyObject(handle, publicKey);
      transportKey = undefined;
      refuseSecond(present(opened), receipt.keys);
      return received;
    }),

  'wrap-methods': () =>
    coded(() => {
      const { cryptoki, handle, wrap } = present(opened);
      return findWrapMethods(cryptoki, handle, wrap);
    }),

  use: ({ names, wrapMethod: { algorithm: wrapAlgorithm, mechanism: wrapMechanism } }) =>
    coded(() => {
      const { cryptoki, token } = present(opened);
      const masterKey = { ...names.masterKey, wrapAlgorithm, wrapMechanism };
      const keys = { masterKey, integrityKey: names.integrityKey };
      inUse = { session: createSession(cryptoki, token, cryptoki.openSession(token.slot), keys), names };
      return undefined;
    }),

  curves: () =>
    coded(() => {
      const rows = probeCurves(present(inUse).session, present(opened).token);
      return {
        works: rows.filter(({ works }) => works).map(({ curve }) => curve),
        failures: rows.flatMap(({ failure }) => failure ?? []),
      };
    }),

  make: (curve) =>
    coded(() => {
      const { session } = present(inUse);
      return session.withNewKey(curve, (privateKey, publicKey) => ({
        curve,
        publicKey,
        blob: session.wrap(privateKey),
      }));
    }),

  prove: ({ curve, publicKey, blob }) =>
    coded(() => {
      const { session } = present(inUse);
      session.withUnwrapped(curve, Buffer.from(blob), (key) =>
        signVerified(session, curve, key, publicKey, randomBytes(32)),
      );
      return undefined;
    }),

  rewrap: ({ name, wrapMethod, key }) =>
    coded(() => {
      const { cryptoki, token, handle } = present(opened);
      const { session } = present(inUse);
      const old = findStored(cryptoki, token, handle, { kind: 'master key', ...name });
      const wrapped = Buffer.from(key.blob);
      const opening = unwrapKey(cryptoki, handle, wrapMethod, old, wrapped, rotationTemplate(key.curve));
      try {
        return { ...key, blob: session.wrap(opening) };
      } finally {
        cryptoki.destroyObject(handle, opening);
      }
    }),

  hmac: (message) => coded(() => present(inUse).session.hmac(Buffer.from(message))),

  strictness: ({ curve, blob }) => coded(() => findLaxness(present(inUse).session, curve, Buffer.from(blob))),

  attributes: (purpose) => coded(() => flawsOfKeys(present(inUse).session, purpose)),

  deliverable: () =>
    coded(() => {
      const { cryptoki, token, handle } = present(opened);
      return bothKeys(present(inUse).names)
        .filter((key) => isDeliverable(cryptoki, handle, findStored(cryptoki, token, handle, key)))
        .map(({ kind }) => kind);
    }),
});

function refuseTaken({ cryptoki, handle, token }: Opened, keys: readonly CeremonyKey[]): void {
  for (const { label } of keys) {
    if (countLabelled(cryptoki, handle, label) > 0) {
      throw new CodedError(
        'CEREMONY_REFUSED',
        `token “${token.info.label}” (${token.info.serial}) has an object “${label}” already: it belongs to a key store, or to a ceremony that was killed; remove it only if no key store uses it`,
      );
    }
  }
}

/** Another ceremony that ran on this token at the same moment. */
function refuseSecond({ cryptoki, handle }: Opened, keys: readonly CeremonyKey[]): void {
  for (const { label } of keys) {
    if (countLabelled(cryptoki, handle, label) > 1) {
      throw new CodedError(
        'CEREMONY_REFUSED',
        `another ceremony put an object “${label}” on the token at the same time`,
      );
    }
  }
}

function removeKeys({ cryptoki, handle }: Opened, keys: readonly CeremonyKey[]): number {
  const found = objectsOf(cryptoki, handle, keys);
  for (const object of found) cryptoki.destroyObject(handle, object);
  return found.length;
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('a step of the ceremony was left out');
  return value;
}

function coded<Value>(step: () => Value): Value {
  try {
    return step();
  } catch (error) {
    throw codedError(error);
  }
}
