import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { lengthPrefixed } from '../crypto/length-prefixed.ts';

/**
 * The challenge of a user action: what the caller's credential signs. It holds the hash of the request, so the
 * credential's signature covers exactly this method, path and body, and everybody who has the request can check that.
 *
 *   base64url( 16 random bytes ‖ expiry, 8 bytes big-endian, unix ms ‖ SHA-256 of the request, 32 bytes )
 */
export interface SignedRequest {
  readonly method: string;
  /** The URL's pathname, as it is written in the request. */
  readonly path: string;
  /** The body, exactly as signed; '' for none. */
  readonly payload: string;
}

/** From a challenge’s making to its expiry: time to sign it; a person may have to press a key. */
export const challengeTtlMs = 300_000;

const randomLength = 16;
const hashStart = randomLength + 8;
const challengeLength = hashStart + 32;

export function newChallenge(request: SignedRequest, expiresAtMs: number): string {
  const expiry = Buffer.alloc(8);
  expiry.writeBigUInt64BE(BigInt(expiresAtMs));
  return Buffer.concat([randomBytes(randomLength), expiry, requestHash(request)]).toString('base64url');
}

/** Unix ms; `undefined` for what is no challenge. */
export function challengeExpiry(challenge: string): number | undefined {
  const bytes = decode(challenge);
  return bytes && Number(bytes.readBigUInt64BE(randomLength));
}

/** True when the challenge was made for exactly this request. */
export function challengeCovers(challenge: string, request: SignedRequest): boolean {
  const bytes = decode(challenge);
  return bytes !== undefined && timingSafeEqual(bytes.subarray(hashStart), requestHash(request));
}

/** The id of the user action: the same challenge signed twice is still one user action. */
export function userActionId(challenge: string): string {
  return createHash('sha256')
    .update(lengthPrefixed(['hsm-driver user action id v1', challenge]))
    .digest('hex');
}

function requestHash({ method, path, payload }: SignedRequest): Buffer {
  return createHash('sha256')
    .update(lengthPrefixed([method, path, payload]))
    .digest();
}

function decode(challenge: string): Buffer | undefined {
  const bytes = Buffer.from(challenge, 'base64url');
  // Only one way to write it: the id of the user action is a hash of the text.
  return bytes.length === challengeLength && bytes.toString('base64url') === challenge ? bytes : undefined;
}
