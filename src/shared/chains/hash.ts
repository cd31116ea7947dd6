import { CodedError } from '../errors.ts';
import { bytesOfHex } from './hex-text.ts';

/**
 * Kind `Hash`: the 32 bytes themselves. ECDSA takes them as the digest; EdDSA signs them as a message of 32 bytes (pure
 * Ed25519 hashes by itself).
 * @throws DIGEST_INVALID
 */
export function hashToSign(hash: string): Buffer {
  const bytes = bytesOfHex(hash, 'hash');
  if (bytes.length !== 32) throw new CodedError('DIGEST_INVALID', `hash has ${bytes.length} bytes and not 32`);
  return bytes;
}
