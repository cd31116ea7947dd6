import type { Signature } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import { type Curve, type KeyType, schemeOf } from '../../shared/keys.ts';
import type { Handle } from './module.ts';
import type { Session } from './session.ts';
import { secp256k1RecoveryId, signatureHolds } from './verify.ts';

/** @throws DIGEST_INVALID before the HSM is touched: CKM_ECDSA would cut or take any length without a word. */
export function checkDigest(curve: Curve, digest: Uint8Array): void {
  if (schemeOf(curve) === 'ECDSA' && digest.length !== 32) {
    throw new CodedError('DIGEST_INVALID', `${digest.length} bytes for ${curve}`);
  }
  if (digest.length === 0) throw new CodedError('DIGEST_INVALID', 'an empty message');
}

/**
 * One signature, verified in software against the public key it must hold for. Nothing else in this program turns what
 * C_Sign answered into a signature.
 * @throws DIGEST_INVALID, SIGNATURE_INVALID (the signature is discarded), Pkcs11Fault
 */
export function signVerified(
  session: Session,
  curve: Curve,
  key: Handle,
  publicKey: string,
  digest: Buffer,
): Signature {
  checkDigest(curve, digest);
  const bytes = session.sign(curve, key, digest);
  const rs = bytes.toString('hex');
  if (curve === 'secp256k1') {
    const recid = secp256k1RecoveryId(publicKey, digest, bytes);
    if (recid !== undefined) return { rs, recid };
  } else if (signatureHolds({ scheme: schemeOf(curve), curve } as KeyType, publicKey, digest, { rs })) {
    return { rs };
  }
  throw new CodedError('SIGNATURE_INVALID', `a ${curve} signature does not hold for public key ${publicKey}`);
}
