import type { Curve } from '../../shared/keys.ts';
import { CKK, CKM } from './constants.ts';

/** How PKCS#11 names each curve, and what its mechanisms take. */
export interface CurveFacts {
  readonly keyType: number;
  /** CKA_EC_PARAMS: the curve's OID in DER (RFC 5480, RFC 8410); the form that nearly every token takes. */
  readonly parameters: Buffer;
  /** Another form of it that PKCS#11 3.1 (section 6.3.3) allows, for tokens that take only this one. */
  readonly otherParameters?: Buffer;
  readonly generate: number;
  readonly sign: number;
}

const ecdsa = { keyType: CKK.EC, generate: CKM.EC_KEY_PAIR_GEN, sign: CKM.ECDSA };

export const curveFacts: Readonly<Record<Curve, CurveFacts>> = {
  secp256k1: { ...ecdsa, parameters: Buffer.from('06052b8104000a', 'hex') },
  'P-256': { ...ecdsa, parameters: Buffer.from('06082a8648ce3d030107', 'hex') },
  ed25519: {
    keyType: CKK.EC_EDWARDS,
    parameters: Buffer.from('06032b6570', 'hex'),
    // PrintableString “edwards25519”.
    otherParameters: Buffer.from('130c656477617264733235353139', 'hex'),
    generate: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    sign: CKM.EDDSA,
  },
};
