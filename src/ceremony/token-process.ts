import { randomBytes } from 'node:crypto';
import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import { CodedError } from '../shared/errors.ts';
import { CKA, CKM } from '../worker/hsm/constants.ts';
import { codedError } from '../worker/hsm/failure.ts';
import { wrongAttributes } from '../worker/hsm/identity.ts';
import type { Cryptoki, Handle } from '../worker/hsm/module.ts';
import { probeCurves } from '../worker/hsm/probe.ts';
import { createSession, type Session } from '../worker/hsm/session.ts';
import { signVerified } from '../worker/hsm/sign-verified.ts';
import { labelSearch, rotationTemplate, secretKeySearch } from '../worker/hsm/templates.ts';
import { unwrapKey, wrapCandidates } from '../worker/hsm/wrap.ts';
import { serveParent } from './child.ts';
import { isDeliverable } from './deliverable.ts';
import { findWrapMethods } from './entrance.ts';
import { bothKeys, type CeremonyKey, type KeyNames } from './keys.ts';
import { logInOnce, type Opened } from './log-in-once.ts';
import { storeKeys } from './stored-keys.ts';
import { findLaxness } from './strictness.ts';
import { newIntegrityKey, newMasterKey } from './templates.ts';
import type { Delivery, KeySource, TokenCalls, Transport } from './token-calls.ts';
import {
  generateTransportKey,
  importTransportKey,
  type OaepHash,
  openableHashes,
  provenWrapMethods,
  readTransportKey,
  type TransportKey,
  transportKeySha256,
  wrapForTarget,
} from './transport.ts';

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
/** Targets' transport keys on the origin. */
let imported: { readonly key: Handle; readonly hashes: readonly OaepHash[] }[] = [];
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
    coded((): Transport => {
      const { cryptoki, handle, wrap } = present(opened);
      transportKey = generateTransportKey(cryptoki, handle);
      const publicKey = readTransportKey(cryptoki, handle, transportKey.publicKey);
      const hashes = openableHashes(cryptoki, handle, transportKey, publicKey);
      const [best] = hashes;
      if (best === undefined) throw new CodedError('CEREMONY_REFUSED', 'the token opens no RSA-OAEP blob');
      const candidates = wrapCandidates(wrap);
      const wrapMethods = provenWrapMethods(cryptoki, handle, transportKey, publicKey, best, candidates);
      return { publicKey, sha256: transportKeySha256(publicKey), hashes, wrapMethods };
    }),

  'import-transports': (transports) => coded(() => transports.map(importOne)),
  distribute: ({ keys, source }) => coded(() => distribute(present(opened), keys, source)),

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
      const { cryptoki, handle } = present(opened);
      const { session } = present(inUse);
      const old = findStored(present(opened), { kind: 'master key', ...name });
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

  attributes: () => coded(() => wrongAttributes(present(inUse).session)),

  deliverable: () =>
    coded(() => {
      const { cryptoki, handle } = present(opened);
      return bothKeys(present(inUse).names)
        .filter((key) => isDeliverable(cryptoki, handle, findStored(present(opened), key)))
        .map(({ kind }) => kind);
    }),
});

function refuseTaken({ cryptoki, handle, token }: Opened, keys: readonly CeremonyKey[]): void {
  for (const { label } of keys) {
    if (cryptoki.find(handle, labelSearch(label), 1).length > 0) {
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
    if (cryptoki.find(handle, labelSearch(label), 2).length > 1) {
      throw new CodedError(
        'CEREMONY_REFUSED',
        `another ceremony put an object “${label}” on the token at the same time`,
      );
    }
  }
}

/** By CKA_ID: random, so nothing of an earlier ceremony is touched. */
function removeKeys({ cryptoki, handle }: Opened, keys: readonly CeremonyKey[]): number {
  const found = keys.flatMap(({ ckaId }) =>
    cryptoki.find(handle, [{ type: CKA.ID, value: Buffer.from(ckaId, 'hex') }], 10),
  );
  for (const object of found) cryptoki.destroyObject(handle, object);
  return found.length;
}

function importOne({ publicKey, hashes }: Transport): string {
  const { cryptoki, handle } = present(opened);
  const key = importTransportKey(cryptoki, handle, {
    modulus: Buffer.from(publicKey.modulus),
    publicExponent: Buffer.from(publicKey.publicExponent),
  });
  imported.push({ key, hashes });
  return transportKeySha256(readTransportKey(cryptoki, handle, key));
}

function distribute({ cryptoki, handle }: Opened, keys: readonly CeremonyKey[], source: KeySource): Delivery[] {
  const targets = imported;
  imported = [];
  const made: Handle[] = [];
  try {
    // New ones are wrapped at once and destroyed: what stays on this token is what it receives like every other.
    const handles = keys.map((key) => {
      if (source === 'stored') return findStored(present(opened), key);
      const one = generate(cryptoki, handle, key);
      made.push(one);
      return one;
    });
    return targets.map(({ key, hashes }) => wrapForTarget(cryptoki, handle, key, hashes, handles));
  } finally {
    for (const key of [...made, ...targets.map(({ key }) => key)]) cryptoki.destroyObject(handle, key);
  }
}

function generate(cryptoki: Cryptoki, session: Handle, { kind }: CeremonyKey): Handle {
  switch (kind) {
    case 'master key':
      return cryptoki.generateKey(session, { mechanism: CKM.AES_KEY_GEN }, newMasterKey);
    case 'integrity key':
      return cryptoki.generateKey(session, { mechanism: CKM.GENERIC_SECRET_KEY_GEN }, newIntegrityKey);
    default:
      return kind satisfies never;
  }
}

function findStored({ cryptoki, handle, token }: Opened, { kind, label, ckaId }: CeremonyKey): Handle {
  const [found, second] = cryptoki.find(handle, secretKeySearch(label, ckaId), 2);
  if (found !== undefined && second === undefined) return found;
  const { label: tokenLabel, serial } = token.info;
  const many = found === undefined ? 'there is no' : 'there is more than one';
  throw new CodedError(
    'MASTER_KEY_MISSING',
    `${many} ${kind} (CKA_LABEL “${label}”, CKA_ID ${ckaId}) on token “${tokenLabel}” (${serial})`,
  );
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
