import { randomBytes } from 'node:crypto';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import { CodedError } from '../shared/errors.ts';
import { CKA, CKM } from '../worker/hsm/constants.ts';
import { codedError } from '../worker/hsm/failure.ts';
import { type Cryptoki, type Handle, loadModule } from '../worker/hsm/module.ts';
import { probeCurves } from '../worker/hsm/probe.ts';
import { createSession, type Session } from '../worker/hsm/session.ts';
import { signVerified } from '../worker/hsm/sign-verified.ts';
import { labelSearch } from '../worker/hsm/templates.ts';
import { login, selectToken, type Token } from '../worker/hsm/token.ts';
import { wrapCandidates } from '../worker/hsm/wrap.ts';
import { serveParent } from './child.ts';
import type { KeyNames } from './key-names.ts';
import { checkStrictness } from './strictness.ts';
import { newIntegrityKey, newMasterKey, storedIntegrityKey, storedMasterKey } from './templates.ts';
import type { Delivery, TokenCalls, Transport } from './token-calls.ts';
import {
  generateTransportKey,
  importTransportKey,
  oaep,
  openableHashes,
  provenWrapMethods,
  readTransportKey,
  type TransportKey,
  transportKeySha256,
  wrapForTarget,
} from './transport.ts';
import { unwrapWithNestedTemplate } from './unwrap-master-key.ts';

/**
 * Entry of the process that owns one token during a ceremony. Its session lives as long as the process: transport keys
 * are session objects.
 */
interface Opened {
  readonly module: string;
  readonly cryptoki: Cryptoki;
  readonly token: Token;
  readonly handle: Handle;
  readonly names: KeyNames;
  readonly wrap: TokenConfiguration['wrap'];
}
let opened: Opened | undefined;
let transportKey: TransportKey | undefined;
let received: Session | undefined;

serveParent<TokenCalls>({
  open: (ask) =>
    coded(() => {
      const one = open(ask);
      refuseTaken(one);
      opened = one;
      return one.token.info;
    }),

  'clean-up': (ask) => coded(() => ({ removed: removeKeys(open(ask)) })),

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

  distribute: (targets) => coded(() => distribute(present(opened), targets)),

  receive: ({ delivery, wrapMethod }) =>
    coded(() => {
      const { module, cryptoki, token, handle, names } = present(opened);
      const { publicKey, privateKey } = present(transportKey);
      const mechanism = oaep(delivery.hash);
      unwrapWithNestedTemplate(
        module,
        handle,
        mechanism,
        privateKey,
        Buffer.from(delivery.masterKey),
        storedMasterKey(names, wrapMethod.mechanism),
      );
      cryptoki.unwrapKey(handle, mechanism, privateKey, Buffer.from(delivery.integrityKey), storedIntegrityKey(names));
      cryptoki.destroyObject(handle, privateKey);
      cryptoki.destroyObject(handle, publicKey);
      transportKey = undefined;
      refuseSecond(present(opened));
      // Found again by label and id, as every worker will find them.
      const { algorithm: wrapAlgorithm, mechanism: wrapMechanism } = wrapMethod;
      received = createSession(cryptoki, token, handle, {
        masterKey: { ...names.masterKey, wrapAlgorithm, wrapMechanism },
        integrityKey: names.integrityKey,
      });
      return undefined;
    }),

  curves: () =>
    coded(() => {
      const rows = probeCurves(present(received), present(opened).token);
      return {
        works: rows.filter(({ works }) => works).map(({ curve }) => curve),
        failures: rows.flatMap(({ failure }) => failure ?? []),
      };
    }),

  make: (curve) =>
    coded(() => {
      const session = present(received);
      return session.withNewKey(curve, (privateKey, publicKey) => ({
        curve,
        publicKey,
        blob: session.wrap(privateKey),
      }));
    }),

  prove: ({ curve, publicKey, blob }) =>
    coded(() => {
      const session = present(received);
      session.withUnwrapped(curve, Buffer.from(blob), (key) =>
        signVerified(session, curve, key, publicKey, randomBytes(32)),
      );
      return undefined;
    }),

  hmac: (message) => coded(() => present(received).hmac(Buffer.from(message))),

  strictness: ({ curve, blob }) =>
    coded(() => {
      checkStrictness(present(received), curve, Buffer.from(blob));
      return undefined;
    }),
});

function open({ token: slot, names }: TokenCalls['open']['ask']): Opened {
  const cryptoki = loadModule(slot.module);
  cryptoki.initialize();
  const token = selectToken(cryptoki, { label: slot.tokenLabel, serial: slot.tokenSerial });
  const handle = cryptoki.openSession(token.slot);
  login(cryptoki, handle, token, readSecretFile(slot.pinFile, `token ${slot.name} pinFile`));
  return { module: slot.module, cryptoki, token, handle, names, wrap: slot.wrap };
}

function refuseTaken({ cryptoki, handle, names, token }: Opened): void {
  for (const { label } of [names.masterKey, names.integrityKey]) {
    if (cryptoki.find(handle, labelSearch(label), 1).length > 0) {
      throw new CodedError(
        'CEREMONY_REFUSED',
        `token “${token.info.label}” (${token.info.serial}) has an object “${label}” already: it belongs to a key store, or to a ceremony that was killed; remove it only if no key store uses it`,
      );
    }
  }
}

/** Another ceremony that ran on this token at the same moment. */
function refuseSecond({ cryptoki, handle, names }: Opened): void {
  for (const { label } of [names.masterKey, names.integrityKey]) {
    if (cryptoki.find(handle, labelSearch(label), 2).length > 1) {
      throw new CodedError(
        'CEREMONY_REFUSED',
        `another ceremony put an object “${label}” on the token at the same time`,
      );
    }
  }
}

/** By CKA_ID: random, so nothing of an earlier ceremony is touched. */
function removeKeys({ cryptoki, handle, names }: Opened): number {
  const found = [names.masterKey, names.integrityKey].flatMap(({ ckaId }) =>
    cryptoki.find(handle, [{ type: CKA.ID, value: Buffer.from(ckaId, 'hex') }], 10),
  );
  for (const object of found) cryptoki.destroyObject(handle, object);
  return found.length;
}

/** The only moment at which the two keys are extractable: as session objects, on the origin, and wrapped at once. */
function distribute({ cryptoki, handle }: Opened, targets: readonly Transport[]): Delivery[] {
  const made: Handle[] = [];
  try {
    made.push(cryptoki.generateKey(handle, { mechanism: CKM.AES_KEY_GEN }, newMasterKey));
    made.push(cryptoki.generateKey(handle, { mechanism: CKM.GENERIC_SECRET_KEY_GEN }, newIntegrityKey));
    return targets.map(({ publicKey, hashes }) => {
      const key = importTransportKey(cryptoki, handle, {
        modulus: Buffer.from(publicKey.modulus),
        publicExponent: Buffer.from(publicKey.publicExponent),
      });
      const { hash, blobs } = wrapForTarget(cryptoki, handle, key, hashes, made);
      const sha256 = transportKeySha256(readTransportKey(cryptoki, handle, key));
      cryptoki.destroyObject(handle, key);
      return { sha256, hash, masterKey: present(blobs[0]), integrityKey: present(blobs[1]) };
    });
  } finally {
    for (const key of made) cryptoki.destroyObject(handle, key);
  }
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
