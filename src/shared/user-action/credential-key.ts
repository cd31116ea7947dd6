import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { libsecp256k1 as secp256k1 } from '../crypto/libsecp256k1.ts';
import { CodedError } from '../errors.ts';

/** The kinds of public keys that credentials may be, and how they sign: the API and the driver must not differ in that. */

const ecCurves = ['prime256v1', 'secp256k1', 'secp384r1', 'secp521r1'];
const leastRsaBits = 2048;

/**
 * A public key that may become a credential, in the one PEM form that is stored.
 * @throws CREDENTIAL_REFUSED
 */
export function credentialPem(pem: string): string {
  const key = readPublicKey(pem);
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ed25519':
    case 'ed448':
      break;
    case 'ec':
      if (!ecCurves.includes(namedCurve ?? ''))
        throw refused(`curve ${namedCurve} is not one of ${ecCurves.join(', ')}`);
      break;
    case 'rsa':
    case 'rsa-pss':
      if ((modulusLength ?? 0) < leastRsaBits) throw refused(`an RSA key must have ${leastRsaBits} bits or more`);
      break;
    default:
      throw refused(`keys of type ${key.asymmetricKeyType} cannot sign user actions`);
  }
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

/**
 * Checks a signature the way the SDKs make them: Ed25519 and Ed448 raw; ECDSA with SHA-256 on every curve, DER; RSA
 * with SHA-256, PKCS#1 v1.5 (RSA-PSS keys: PSS).
 */
export function credentialSigned(key: KeyObject, message: Buffer, signature: Buffer): boolean {
  return credentialVerifier(key)(message, signature);
}

/** The same for a key that checks many signatures. */
export function credentialVerifier(key: KeyObject): (message: Buffer, signature: Buffer) => boolean {
  if (key.asymmetricKeyDetails?.namedCurve === 'secp256k1') return secp256k1Verifier(key);
  return (message, signature) => opensslVerifies(key, message, signature);
}

/** OpenSSL has no fast code for this curve: 0.24 ms a signature, libsecp256k1 a sixth of that. */
function secp256k1Verifier(key: KeyObject): (message: Buffer, signature: Buffer) => boolean {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const coordinate = (text: string): Buffer => Buffer.from(text, 'base64url');
  const point = Buffer.concat([Buffer.of(4), coordinate(x), coordinate(y)]);
  return (message, signature) => {
    try {
      // High-s too: the SDKs' signers write either, and libsecp256k1 takes only the low one.
      const rs = secp256k1.signatureNormalize(secp256k1.signatureImport(signature));
      return secp256k1.ecdsaVerify(rs, hash('sha256', message, 'buffer'), point);
    } catch {
      // What is no DER makes it throw.
      return false;
    }
  };
}

function opensslVerifies(key: KeyObject, message: Buffer, signature: Buffer): boolean {
  const digest = key.asymmetricKeyType === 'ed25519' || key.asymmetricKeyType === 'ed448' ? null : 'sha256';
  try {
    return verify(digest, message, key, signature);
  } catch {
    // Some malformed signatures make OpenSSL throw instead of answering no.
    return false;
  }
}

function readPublicKey(pem: string): KeyObject {
  // createPublicKey would also take a private key, and derive from it: nobody should send one.
  if (!/^\s*-----BEGIN (RSA )?PUBLIC KEY-----/.test(pem)) throw refused('it is not a public key in PEM');
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new CodedError('CREDENTIAL_REFUSED', 'it cannot be read', { cause });
  }
}

function refused(why: string): CodedError {
  return new CodedError('CREDENTIAL_REFUSED', why);
}
