import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';

/** The public keys with which service accounts sign user actions. */

const ecCurves = ['prime256v1', 'secp256k1', 'secp384r1', 'secp521r1'];
const leastRsaBits = 2048;

/** Ids of the account's active credentials, oldest first. */
export async function activeCredentials(pool: pg.Pool, serviceAccount: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    'select id from credential where service_account = $1 and active order by created_at, id',
    [serviceAccount],
  );
  return rows.map((row) => row.id);
}

/** @throws CREDENTIAL_UNKNOWN unless it is an active credential of this account. */
export async function credentialPublicKey(
  pool: pg.Pool,
  serviceAccount: string,
  credentialId: string,
): Promise<KeyObject> {
  const { rows } = await pool.query<{ public_key: string }>(
    'select public_key from credential where id = $1 and service_account = $2 and active',
    [credentialId, serviceAccount],
  );
  const pem = rows[0]?.public_key;
  if (pem === undefined) throw new CodedError('CREDENTIAL_UNKNOWN', '');
  return createPublicKey(pem);
}

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
