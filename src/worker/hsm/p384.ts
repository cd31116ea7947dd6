import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { valueIsRefused } from './attributes.ts';
import { CKA, CKK, CKM, CKO } from './constants.ts';
import type { Template } from './module.ts';
import type { Session } from './session.ts';
import { demandedOfUnwrapped } from './templates.ts';
import { unwrapKey } from './wrap.ts';

/**
 * P-384 (secp384r1) is no curve of this driver: no application interface that it serves asks for it. Whether an HSM could
 * is part of what the HSM is worth, and is found out the same way: generate, wrap, destroy, unwrap, sign, verify.
 */
export interface P384Facts {
  readonly works: boolean;
  /** Why not, in one line. */
  readonly failure?: string;
}

/** 1.3.132.0.34 (SEC 2 section 2.5.1). */
const parameters = Buffer.from('06052b81040022', 'hex');
const coordinateBytes = 48;

/** @param session on a throw-away master key. */
export function tryP384(session: Session): P384Facts {
  try {
    const { point, blob } = makeWrapped(session);
    signWith(session, point, blob);
    return { works: true };
  } catch (error) {
    return { works: false, failure: (error as Error).message };
  }
}

function makeWrapped(session: Session): { point: Buffer; blob: Buffer } {
  const { cryptoki, handle } = session;
  const mechanism = { mechanism: CKM.EC_KEY_PAIR_GEN };
  const pair = cryptoki.generateKeyPair(handle, mechanism, publicTemplate, privateTemplate);
  try {
    const point = cryptoki.attribute(handle, pair.publicKey, CKA.EC_POINT).subarray(-2 * coordinateBytes);
    valueIsRefused(cryptoki, handle, pair.privateKey, 'a fresh private key');
    return { point, blob: session.wrap(pair.privateKey) };
  } finally {
    session.destroy(pair.privateKey);
    session.destroy(pair.publicKey);
  }
}

function signWith(session: Session, point: Buffer, blob: Buffer): void {
  const { cryptoki, handle, wrapMethod, masterKey } = session;
  const template: Template = [...demandedOfUnwrapped, { type: CKA.KEY_TYPE, value: CKK.EC }];
  const key = unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, template);
  try {
    valueIsRefused(cryptoki, handle, key, 'an unwrapped private key');
    const message = randomBytes(32);
    const digest = createHash('sha384').update(message).digest();
    const signature = cryptoki.sign(handle, { mechanism: CKM.ECDSA }, key, digest);
    const x = point.subarray(0, coordinateBytes).toString('base64url');
    const y = point.subarray(coordinateBytes).toString('base64url');
    const publicKey = createPublicKey({ key: { kty: 'EC', crv: 'P-384', x, y }, format: 'jwk' });
    if (!verify('sha384', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature))
      throw new RangeError('the signature does not verify');
  } finally {
    session.destroy(key);
  }
}

const publicTemplate: Template = [
  { type: CKA.CLASS, value: CKO.PUBLIC_KEY },
  { type: CKA.KEY_TYPE, value: CKK.EC },
  { type: CKA.TOKEN, value: false },
  { type: CKA.PRIVATE, value: false },
  { type: CKA.VERIFY, value: true },
  { type: CKA.EC_PARAMS, value: parameters },
];
const privateTemplate: Template = [
  { type: CKA.CLASS, value: CKO.PRIVATE_KEY },
  { type: CKA.KEY_TYPE, value: CKK.EC },
  { type: CKA.TOKEN, value: false },
  { type: CKA.PRIVATE, value: true },
  { type: CKA.SENSITIVE, value: true },
  { type: CKA.EXTRACTABLE, value: true },
  { type: CKA.SIGN, value: true },
  { type: CKA.DERIVE, value: false },
];
