import { secp256k1 } from '@noble/curves/secp256k1.js';
import { digestsToSign, joinSignatures } from '../../src/shared/chains/index.ts';
import type { SignatureBody } from '../../src/shared/chains/signature-body.ts';
import type { Signature } from '../../src/shared/driver-protocol.ts';
import { CodedError } from '../../src/shared/errors.ts';

export const secp256k1Type = { scheme: 'ECDSA', curve: 'secp256k1' } as const;

export function publicKeyOf(privateKey: string): string {
  return Buffer.from(secp256k1.getPublicKey(Buffer.from(privateKey, 'hex'))).toString('hex');
}

/** What a driver reports: r‖s with low s, and recid. Deterministic (RFC 6979), as most published vectors are. */
export function driverSignature(digest: Uint8Array, privateKey: string): Signature {
  const signed = secp256k1.sign(digest, Buffer.from(privateKey, 'hex'), { prehash: false, format: 'recovered' });
  return { recid: signed[0] as 0 | 1, rs: Buffer.from(signed.subarray(1)).toString('hex') };
}

/** Signs as the system does, the HSM replaced by a private key: digests, stored format, signatures, joined answer. */
export function signWith(privateKey: string, body: SignatureBody, network?: string) {
  const publicKey = publicKeyOf(privateKey);
  const context = { type: secp256k1Type, publicKey, body, ...(network === undefined ? {} : { network }) };
  const { digests, format } = digestsToSign(context);
  // As the row keeps it.
  const stored = format === undefined ? undefined : JSON.parse(JSON.stringify(format));
  const signatures = digests.map((digest) => driverSignature(digest, privateKey));
  return { digests, joined: joinSignatures(stored, signatures, publicKey) };
}

/** The error of the catalogue that work ends with; other errors are thrown. */
export function refusalOf(work: () => unknown): { code?: string; detail?: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof CodedError) return { code: error.code, detail: error.detail };
    throw error;
  }
  return {};
}
